//! The kernel's own symbols, out of the packed table in its image.
