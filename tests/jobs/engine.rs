//! The real thing: the program itself as trainer, nano on a handful of rows.
