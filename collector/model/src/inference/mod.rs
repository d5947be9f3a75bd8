//! inference/mod
