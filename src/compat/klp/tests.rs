//! A patch laid out by hand, with offsets that a C compiler gave for Linux's header.

use super::*;
use crate::compat::Pieces;

const PATCH: u64 = 0x1000;
const OBJS: u64 = 0x2000;
const FUNCS: [u64; 2] = [0x3000, 0x4000];
const NAMES: u64 = 0x10_0000;

/// Memory in which single fields can be set.
struct Image(Pieces);

impl Image {
    fn set(&mut self, at: u64, value: u64) -> &mut Self {
        let inside =
            |piece: &&mut (u64, Vec<u8>)| (piece.0..piece.0 + piece.1.len() as u64).contains(&at);
        let (start, bytes) = self.0.0.iter_mut().find(inside).unwrap();
        let from = (at - *start) as usize;
        bytes[from..from + 8].copy_from_slice(&value.to_le_bytes());
        self
    }

    fn read(&self) -> Result<PatchDesc, KlpError> {
        read_patch(&self.0, Vaddr(PATCH))
    }

    fn error(&self) -> String {
        self.read().unwrap_err().to_string()
    }
}

/// The kernel's `f` (second of its name) and `g` of module `demo`, with one
/// callback. Offsets as the compiler gave them for Linux's header.
fn image() -> Image {
    let mut image = Image(Pieces(vec![
        (PATCH, vec![0; 200]),
        (OBJS, vec![0; 3 * 168]),
        (FUNCS[0], vec![0; 2 * 152]),
        (FUNCS[1], vec![0; 2 * 152]),
        (NAMES, b"f\0g\0demo\0".to_vec()),
    ]));
    image
        .set(PATCH, 0x5000)
        .set(PATCH + 8, OBJS)
        .set(PATCH + 24, 1)
        .set(OBJS + 8, FUNCS[0])
        .set(OBJS + 168, NAMES + 4)
        .set(OBJS + 168 + 8, FUNCS[1])
        .set(OBJS + 168 + 40, 0x6000)
        .set(FUNCS[0], NAMES)
        .set(FUNCS[0] + 8, 0x7000)
        .set(FUNCS[0] + 16, 2)
        .set(FUNCS[1], NAMES + 2)
        .set(FUNCS[1] + 8, 0x7004);
    image
}

#[test]
fn a_patch_is_read_up_to_its_zero_entries() {
    let func = |name: &str, new_func, sympos| FuncDesc {
        old_name: name.into(),
        new_func: Vaddr(new_func),
        sympos,
    };
    let callbacks = |object, post_unpatch| Callbacks {
        object: Vaddr(object),
        post_unpatch,
        ..Callbacks::default()
    };
    let expected = PatchDesc {
        mod_ptr: Vaddr(0x5000),
        states: None,
        replace: true,
        objects: vec![
            ObjectDesc {
                name: None,
                callbacks: callbacks(OBJS, None),
                funcs: vec![func("f", 0x7000, 2)],
            },
            ObjectDesc {
                name: Some("demo".into()),
                callbacks: callbacks(OBJS + 168, Some(Vaddr(0x6000))),
                funcs: vec![func("g", 0x7004, 0)],
            },
        ],
    };
    assert_eq!(image().read(), Ok(expected));
}

#[test]
fn only_the_lowest_byte_of_replace_counts() {
    assert!(!image().set(PATCH + 24, 0xff00).read().unwrap().replace);
}

#[test]
fn an_object_may_have_callbacks_and_no_functions() {
    let mut image = image();
    image.set(FUNCS[0], 0).set(FUNCS[0] + 8, 0).set(FUNCS[0] + 16, 0);
    assert_eq!(image.read().unwrap().objects[0].funcs, []);
}

/// As `.klp.sym.vmlinux.*` calls it; Linux itself waits for a module of that name.
#[test]
fn an_object_called_vmlinux_is_the_kernel() {
    for (name, expected) in [("vmlinux", None), ("tocsin", None), ("vmlinux2", Some("vmlinux2"))] {
        let mut image = image();
        image.0.0.push((0x20_0000, format!("{name}\0").into_bytes()));
        let read = image.set(OBJS + 168, 0x20_0000).read().unwrap();
        assert_eq!(read.objects[1].name.as_deref(), expected);
    }
}

#[test]
fn each_refusal_names_its_field() {
    let set = |at, value| image().set(at, value).error();
    assert_eq!(set(PATCH, 0), "klp_patch.mod: null, and must be set");
    assert_eq!(set(PATCH + 8, 0), "klp_patch.objs: null, and must be set");
    assert_eq!(set(PATCH + 8, 0x2004), "klp_patch.objs: 0x2004 is not aligned");
    assert_eq!(set(PATCH + 8, 0x90), "klp_patch.objs[0]: no memory at 0x90");
    assert_eq!(set(OBJS + 168 + 8, 0), "klp_patch.objs[1].funcs: null, and must be set");
    assert_eq!(set(OBJS + 8, 0), "klp_patch.objs: nothing to patch (the first entry is zero)");
    assert_eq!(
        set(OBJS + 168 + 40, 0x6002),
        "klp_patch.objs[1].callbacks.post_unpatch: 0x6002 is not aligned"
    );
    assert_eq!(set(FUNCS[1] + 8, 0), "klp_patch.objs[1].funcs[0].new_func: null, and must be set");
    assert_eq!(set(FUNCS[0], 0), "klp_patch.objs[0].funcs[0].old_name: null, and must be set");
    assert_eq!(set(FUNCS[1], 0x99), "klp_patch.objs[1].funcs[0].old_name: no memory at 0x99");
    assert_eq!(
        set(FUNCS[1], NAMES + 1),
        "klp_patch.objs[1].funcs[0].old_name: not a name (1 to 511 bytes of text)"
    );
    let error = read_patch(&image().0, Vaddr(PATCH + 8)).unwrap_err();
    assert_eq!(error.to_string(), "klp_patch: no memory at 0x10c8");
    let error = read_patch(&image().0, Vaddr(PATCH + 4)).unwrap_err();
    assert_eq!(error.to_string(), "klp_patch: 0x1004 is not aligned");
}

#[test]
fn names_may_be_as_long_as_linux_lets_them_and_no_longer() {
    let with = |at: u64, len: usize| {
        let mut image = image();
        image.0.0.push((0x20_0000, [vec![b'n'; len], vec![0]].concat()));
        image.set(at, 0x20_0000).read()
    };
    assert!(with(FUNCS[0], 511).is_ok());
    assert!(matches!(with(FUNCS[0], 512), Err(KlpError::BadName { limit: 511, .. })));
    assert!(with(OBJS + 168, 55).is_ok());
    assert!(matches!(with(OBJS + 168, 56), Err(KlpError::BadName { limit: 55, .. })));
}

/// One function in the second object, all others that may be in the first.
fn image_with_two_objects_of_all_functions() -> Image {
    let mut funcs = Vec::new();
    for _ in 1..MAX_FUNCS {
        funcs.extend([NAMES, 0x7000].map(u64::to_le_bytes).concat());
        funcs.resize(funcs.len() + FUNC_SIZE - 16, 0);
    }
    funcs.resize(funcs.len() + FUNC_SIZE, 0);
    let mut image = image();
    image.0.0.push((0x20_0000, funcs));
    image.0.0[3].1.resize(3 * FUNC_SIZE, 0);
    image.set(OBJS + 8, 0x20_0000);
    image
}

#[test]
fn arrays_without_an_end_are_refused_at_their_limit() {
    let many_funcs = |count: usize| {
        let mut image = image();
        image.set(OBJS + 168, 0).set(OBJS + 176, 0);
        let mut funcs = Vec::new();
        for _ in 0..count {
            funcs.extend([NAMES, 0x7000].map(u64::to_le_bytes).concat());
            funcs.resize(funcs.len() + FUNC_SIZE - 16, 0);
        }
        funcs.resize(funcs.len() + FUNC_SIZE, 0);
        image.0.0.push((0x20_0000, funcs));
        image.set(OBJS + 8, 0x20_0000).read()
    };
    assert_eq!(many_funcs(MAX_FUNCS).unwrap().objects[0].funcs.len(), MAX_FUNCS);
    assert_eq!(
        many_funcs(MAX_FUNCS + 1).unwrap_err().to_string(),
        "klp_patch.objs[0].funcs: no end within 4096 entries \
             (end the array with an all-zero entry)"
    );
    let mut both = image_with_two_objects_of_all_functions();
    assert!(both.read().is_ok());
    both.set(FUNCS[1] + 152, NAMES).set(FUNCS[1] + 160, 0x7000);
    assert!(both.error().starts_with("klp_patch.objs[1].funcs: no end within"));
    let many_objects = |count: usize| {
        let mut image = image();
        let mut objects = Vec::new();
        for _ in 0..count {
            objects.extend([0, FUNCS[1]].map(u64::to_le_bytes).concat());
            objects.resize(objects.len() + OBJECT_SIZE - 16, 0);
        }
        objects.resize(objects.len() + OBJECT_SIZE, 0);
        image.0.0.push((0x20_0000, objects));
        image.set(PATCH + 8, 0x20_0000).read()
    };
    assert_eq!(many_objects(MAX_OBJECTS).unwrap().objects.len(), MAX_OBJECTS);
    assert!(matches!(
        many_objects(MAX_OBJECTS + 1),
        Err(KlpError::Endless { limit: MAX_OBJECTS, .. })
    ));
}
