//! Training in a child process of this machine.
