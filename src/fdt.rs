//! The flattened device tree: what firmware without a client interface hands over.
//!
//! ```text
//!  header   magic, bytes of it all, where the three parts below are
//!  reserved (address, bytes) ... (0, 0)
//!  tree     BEGIN name | PROPERTY length, name, value | ... | BEGIN ... END | END
//!  names    of properties, each NUL-terminated
//! ```
//!
//! Everything is big-endian and padded to words of 4 bytes. Nothing is unpacked and
//! nothing allocated: the tree is read before there is a heap, some ten lookups in
//! twenty kilobytes. Every offset is checked against the bytes that are there; a tree
//! that is damaged has fewer nodes, or none. (Crates that read it panic then, and bring
//! their words for it into the image.)
//!
//! Reference: Devicetree Specification 0.4, "Flattened Devicetree (DTB) Format".
#![forbid(unsafe_code)]

/// Bytes of the part of a header that every version has.
pub const HEADER: usize = 40;
const MAGIC: u32 = 0xd00d_feed;
/// Versions that can be read: names are whole since 16, which 17 still says of itself.
const VERSION: u32 = 16;

const BEGIN: u32 = 1;
const END: u32 = 2;
const PROPERTY: u32 = 3;
const NOTHING: u32 = 4;

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Bytes up to a NUL, without it.
fn name(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    rest.get(..rest.iter().position(|byte| *byte == 0)?)
}

/// Bytes of the whole tree, if this is the beginning of one.
#[must_use]
pub fn size(header: &[u8; HEADER]) -> Option<usize> {
    (word(header, 0)? == MAGIC && word(header, 24)? <= VERSION + 1 && word(header, 20)? >= VERSION)
        .then_some(word(header, 4)? as usize)
}

/// A tree in the bytes that it came in.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    all: &'a [u8],
    reserved: &'a [u8],
    nodes: &'a [u8],
    names: &'a [u8],
}

/// A node of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    tree: Tree<'a>,
    name: &'a [u8],
    /// Where its properties begin, in `tree.nodes`.
    body: usize,
}

enum Token<'a> {
    Begin(&'a [u8]),
    Property(&'a [u8], &'a [u8]),
    End,
}

impl<'a> Tree<'a> {
    /// The tree that begins with the first byte; `None` if there is none.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.get(..size(bytes.first_chunk()?)?)?;
        let part = |at| bytes.get(word(bytes, at)? as usize..);
        Some(Self { all: bytes, nodes: part(8)?, names: part(12)?, reserved: part(16)? })
    }

    /// The bytes that it is in.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.all
    }

    /// Memory that must be left alone: first address and bytes of each range.
    pub fn reserved(&self) -> impl Iterator<Item = (u64, u64)> + Clone + 'a {
        ranges(self.reserved).take_while(|(_, len)| *len != 0)
    }

    /// The node at a path of names, of which none is the root. What stands behind an `@`
    /// may be left out.
    #[must_use]
    pub fn find(&self, path: &[&str]) -> Option<Node<'a>> {
        let mut node = Children { tree: *self, at: 0, depth: 0 }.next()?;
        for name in path {
            node = node.children().find(|child| child.is(name))?;
        }
        Some(node)
    }

    /// The nodes right below the one at a path; none if that is not there.
    #[must_use]
    pub fn below(&self, path: &[&str]) -> Children<'a> {
        let nowhere = Children { tree: *self, at: usize::MAX, depth: 0 };
        self.find(path).map_or(nowhere, |node| node.children())
    }

    /// The token at `at`, which then points behind it.
    fn token(&self, at: &mut usize) -> Option<Token<'a>> {
        loop {
            let kind = word(self.nodes, *at)?;
            let start = *at + 4;
            let (token, end) = match kind {
                BEGIN => {
                    let name = name(self.nodes, start)?;
                    (Token::Begin(name), start + name.len() + 1)
                }
                PROPERTY => {
                    let (len, name_at) = (word(self.nodes, start)?, word(self.nodes, start + 4)?);
                    let value = self.nodes.get(start + 8..)?.get(..len as usize)?;
                    let name = name(self.names, name_at as usize)?;
                    (Token::Property(name, value), start + 8 + value.len())
                }
                END => (Token::End, start),
                NOTHING => {
                    *at = start;
                    continue;
                }
                _ => return None,
            };
            *at = end.next_multiple_of(4);
            return Some(token);
        }
    }
}

impl<'a> Node<'a> {
    /// Its name, with what stands behind an `@`.
    #[must_use]
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    fn is(&self, name: &str) -> bool {
        let rest = self.name.strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'@'))
    }

    /// A property's bytes.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&'a [u8]> {
        let mut at = self.body;
        while let Token::Property(found, value) = self.tree.token(&mut at)? {
            if found == name.as_bytes() {
                return Some(value);
            }
        }
        None
    }

    /// A property of one cell or two.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        let bytes = self.property(name)?;
        match bytes.len() {
            4 => word(bytes, 0).map(u64::from),
            8 => Some(u64::from_be_bytes(*bytes.first_chunk()?)),
            _ => None,
        }
    }

    /// A property that is one string, without its NUL.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&'a [u8]> {
        self::name(self.property(name)?, 0)
    }

    /// The nodes right below.
    #[must_use]
    pub fn children(&self) -> Children<'a> {
        Children { tree: self.tree, at: self.body, depth: 0 }
    }
}

/// Nodes with the same parent, in the tree's order.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    tree: Tree<'a>,
    at: usize,
    /// How deep `at` is in the one that came last; 0 behind it.
    depth: usize,
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    #[inline(never)] // 200 bytes, in many places
    fn next(&mut self) -> Option<Node<'a>> {
        loop {
            match self.tree.token(&mut self.at)? {
                Token::Begin(name) => {
                    self.depth += 1;
                    if self.depth == 1 {
                        return Some(Node { tree: self.tree, name, body: self.at });
                    }
                }
                Token::End => self.depth = self.depth.checked_sub(1)?,
                Token::Property(..) => {}
            }
        }
    }
}

/// Ranges of memory as trees give them, with two cells for each number: first address
/// and bytes.
pub fn ranges(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> + Clone + '_ {
    let number = |bytes: &[u8; 16], at: usize| {
        u64::from_be_bytes(bytes[at..].first_chunk().copied().unwrap_or_default())
    };
    bytes.as_chunks::<16>().0.iter().map(move |range| (number(range, 0), number(range, 8)))
}
