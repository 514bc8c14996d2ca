//! Lists of what each module has one of: they grow by eight places, and give them back.
//!
//! How much memory such a list has depends on its length alone, so that a module that
//! goes leaves as much as there was before it came.
#![forbid(unsafe_code)]

use alloc::vec::Vec;

const STEP: usize = 8;

/// Appends to a list.
pub fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(STEP);
    }
    list.push(item);
}

/// Gives back what a list has grown by, after something was taken out.
pub fn give_back<T>(list: &mut Vec<T>) {
    list.shrink_to(list.len().next_multiple_of(STEP));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_has_grown_and_shrunk_has_the_room_that_it_had() {
        let mut list: Vec<u64> = Vec::new();
        for len in 0..40_usize {
            let before = list.capacity();
            assert_eq!(before, len.next_multiple_of(STEP));
            push(&mut list, 1);
            list.pop();
            give_back(&mut list);
            assert_eq!(list.capacity(), before);
            push(&mut list, 1);
        }
    }
}
