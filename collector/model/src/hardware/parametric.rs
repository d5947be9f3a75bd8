//! The published parametric models of making parts, as an oracle for the tables.
