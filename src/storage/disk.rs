//! Objects as files under one directory.
