//! Packs the kernel's symbols into the blob that `make kernel` puts in its image.
fn main() {}
