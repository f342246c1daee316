//! Lost answers, broken networks, kills.
