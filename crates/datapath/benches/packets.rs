//! What one packet costs: sealing, opening, cutting and joining.
#![allow(missing_docs)]
fn main() {}
