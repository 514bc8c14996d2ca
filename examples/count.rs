use tocsin::addr::Vaddr;
use tocsin::loader::stubs::StubAbi;
use tocsin::loader::*;
struct K;
impl Resolver for K {
    fn resolve(&self, n: &str) -> Option<Resolved> {
        let h = n.len() as u64;
        Some(Resolved {
            addr: Vaddr(0x1000_0000 + h * 16),
            owner: Owner::Kernel,
            gpl_only: false,
        })
    }
}
#[inline(never)]
fn st1_parse<'a>(f: &'a [u8]) -> Object<'a> {
    Object::parse(f).unwrap()
}
#[inline(never)]
fn st2_plan(o: &Object) -> Layout {
    Layout::plan(o, &LinkOptions::default(), 0x1000).unwrap()
}
#[inline(never)]
fn st3_link<'a>(o: &Object<'a>, l: &Layout, i: &mut [u8], a: &KernelAbi) -> Linked<'a> {
    relocate::link(o, l, Vaddr(0x2000_0000), i, &K, a, &LinkOptions::default()).unwrap()
}
fn main() {
    let f = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let abi = KernelAbi {
        stubs: StubAbi {
            kernel_toc: Vaddr(0x0440_8000),
            module_toc: Vaddr(0),
            paca_toc: 16,
            paca_sibling: 24,
            paca_shadow_sp: 32,
            paca_shadow_limit: 40,
            paca_livepatch_return: 48,
        },
        mcount: Vaddr(0x440_1000),
        mcount_late: Vaddr(0x440_1100),
    };
    let o = st1_parse(&f);
    let l = st2_plan(&o);
    let mut i = vec![0; l.size as usize];
    let k = st3_link(&o, &l, &mut i, &abi);
    let n: usize = o.relocations().iter().map(|r| r.len()).sum();
    println!(
        "{} relocations {} symbols {} globals-from {} functions {} stubs",
        n,
        o.symbol_count(),
        o.first_global(),
        k.functions.len(),
        k.stubs.len()
    );
}
