//! Shadow variables: data that a patch ties to somebody else's object, by the object's
//! address and a number.
//!
//! The place of the data is kept here, not the data. Reference: Linux 6.1,
//! `Documentation/livepatch/shadow-vars.rst`.

use alloc::vec::Vec;

use crate::addr::Vaddr;

/// What is tied to what.
#[derive(Debug, Default)]
pub struct Shadows {
    /// Number, object, data; sorted.
    data: Vec<(u64, u64, Vaddr)>,
}

impl Shadows {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { data: Vec::new() }
    }

    fn place(&self, object: u64, id: u64) -> Result<usize, usize> {
        self.data.binary_search_by_key(&(id, object), |entry| (entry.0, entry.1))
    }

    /// The data tied to `object` under `id`.
    #[must_use]
    pub fn get(&self, object: u64, id: u64) -> Option<Vaddr> {
        self.place(object, id).ok().map(|place| self.data[place].2)
    }

    /// Ties `data` to an object; false if something is tied to it already.
    pub fn add(&mut self, object: u64, id: u64, data: Vaddr) -> bool {
        let place = self.place(object, id);
        if let Err(place) = place {
            self.data.insert(place, (id, object, data));
        }
        place.is_err()
    }

    /// Unties what is tied to `object` under `id`.
    pub fn take(&mut self, object: u64, id: u64) -> Option<Vaddr> {
        let taken = self.place(object, id).ok().map(|place| self.data.remove(place).2);
        self.data.shrink_to_fit(); // `mem` is the same before and after
        taken
    }

    /// Unties all that is tied under `id`: each object and its data, by rising address.
    pub fn take_all(&mut self, id: u64) -> Vec<(u64, Vaddr)> {
        let all = self.data.iter().filter(|entry| entry.0 == id);
        let all = all.map(|(_, object, data)| (*object, *data)).collect();
        self.data.retain(|entry| entry.0 != id);
        self.data.shrink_to_fit();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_has_one_of_each_number() {
        let mut shadows = Shadows::new();
        assert!(shadows.add(0x1000, 1, Vaddr(0x10)) && shadows.add(0x1000, 2, Vaddr(0x20)));
        assert!(shadows.add(0x2000, 1, Vaddr(0x30)) && shadows.add(u64::MAX, 1, Vaddr(0x40)));
        assert!(!shadows.add(0x1000, 1, Vaddr(0x50)), "the first stays");
        assert_eq!(shadows.get(0x1000, 1), Some(Vaddr(0x10)));
        assert_eq!(shadows.take(0x1000, 3), None);
        let all = [(0x1000, Vaddr(0x10)), (0x2000, Vaddr(0x30)), (u64::MAX, Vaddr(0x40))];
        assert_eq!(shadows.take_all(1), all);
        assert_eq!((shadows.get(0x2000, 1), shadows.take(0x1000, 2)), (None, Some(Vaddr(0x20))));
    }
}
