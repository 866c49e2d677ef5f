//! builder.
