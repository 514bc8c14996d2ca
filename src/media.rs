//! Where the files lie that belong to the kernel on a boot medium.
//!
//! Firmware says where it got the kernel from (`bootpath`); two files are looked for
//! beside it. Nothing but names is made here: `machine/platform/bootfiles.rs` asks
//! the firmware to open them.
//!
//! ```text
//!  bootpath                          the kernel was in     looked for
//!  .../disk@8000000000000000         a PReP partition      :2,\boot\FILE, then :1,\boot\FILE
//!  .../disk@80...:,\boot\tocsin.elf  a file (ISO, FAT)     :,\boot\FILE
//!  .../l-lan@71000003                TFTP, by DHCP         :,FOLDER\FILE, FOLDER from the reply
//!  .../l-lan@3:bootp,10.0.0.1,k,...  TFTP, as typed        the same with another name
//! ```
//!
//! A slash would end the arguments, in the firmware's eyes: it takes a backslash for
//! one, also in names for TFTP.
//!
//! # References
//! IEEE 1275 PowerPC CHRP binding, "Disk label package", "Network booting"; RFC 951
//! and RFC 2131 for the reply that the server sent.
#![forbid(unsafe_code)]

use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::CStr;

use crate::shell::near::Nearest;

/// The archive of modules. Eight letters and three: SLOF's FAT knows no other names.
pub const ARCHIVE: &str = "initrd.img";
/// Boot words and commands, as text; see [`merge`].
pub const COMMANDS: &str = "commands.txt";
/// The same inside the archive.
pub const COMMANDS_INSIDE: &str = "boot/commands";

/// Most bytes of a path, with the NUL that firmware wants at its end.
pub const PATH_BYTES: usize = 512;

/// How firmware reads from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A disk, a CD: files, in partitions.
    Block,
    /// TFTP.
    Network,
}

/// A path as firmware takes it. Needs no heap: there is none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    bytes: [u8; PATH_BYTES],
    len: usize,
}

impl Path {
    /// The parts, one behind the other, with no slash behind the device; `None` if they
    /// are too long, or hold a NUL.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Option<Self> {
        let mut path = Self { bytes: [0; PATH_BYTES], len: 0 };
        for part in parts {
            let end = path.len.checked_add(part.len()).filter(|end| *end < PATH_BYTES)?;
            path.bytes[path.len..end].copy_from_slice(part);
            path.len = end;
        }
        let colon = path.bytes.iter().position(|byte| *byte == b':').unwrap_or(path.len);
        for byte in path.bytes[colon..].iter_mut().filter(|byte| **byte == b'/') {
            *byte = b'\\';
        }
        (!path.bytes[..path.len].contains(&0)).then_some(path)
    }

    /// With the NUL.
    #[must_use]
    pub fn c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("?")
    }
}

/// The device of a path: what stands before its arguments.
#[must_use]
pub fn device(bootpath: &[u8]) -> &[u8] {
    bootpath.split(|byte| *byte == b':').next().unwrap_or(&[])
}

fn arguments(bootpath: &[u8]) -> &[u8] {
    bootpath.get(device(bootpath).len() + 1..).unwrap_or(&[])
}

/// A name's folder, with the separator at its end; empty if it has none.
fn folder(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| matches!(byte, b'/' | b'\\'));
    end.map_or(&[], |end| &name[..=end])
}

/// The place of `file` to try as the `attempt`-th, counted from 0; `None` if there is
/// no other. `reply` is what the DHCP or BOOTP server sent.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn place(
    bootpath: &[u8],
    kind: Kind,
    reply: &[u8],
    attempt: usize,
    file: &str,
) -> Option<Path> {
    let (device, arguments, file) = (device(bootpath), arguments(bootpath), file.as_bytes());
    match kind {
        Kind::Block => {
            let beside = folder(arguments);
            match attempt {
                0 if !beside.is_empty() => Path::of(&[device, b":", beside, file]),
                0 => Path::of(&[device, b":2,\\boot\\", file]),
                1 if beside.is_empty() => Path::of(&[device, b":1,\\boot\\", file]),
                _ => None,
            }
        }
        Kind::Network => {
            let reply = Reply::read(reply);
            match (attempt, typed_name(arguments)) {
                (0, Some((before, name, after))) => {
                    Path::of(&[device, b":", before, folder(name), file, after])
                }
                (0, None) => {
                    let folder = reply.map_or(&[][..], |reply| reply.folder());
                    Path::of(&[device, b":,", folder, file])
                }
                // Every address as the server gave it: no second question to it.
                (1, _) => {
                    let reply = reply?;
                    let [mut server, mut own, mut gateway] = [[0; 15]; 3];
                    Path::of(&[
                        device,
                        b":",
                        dotted(reply.server, &mut server),
                        b",",
                        reply.folder(),
                        file,
                        b",",
                        dotted(reply.own, &mut own),
                        b",",
                        dotted(reply.gateway, &mut gateway),
                    ])
                }
                _ => None,
            }
        }
    }
}

/// The file's name in the arguments of a network device, with what stands before and
/// behind it: `[WORD,|KEY=VALUE,]... SERVER,NAME[,...]`. `None` if none is there.
fn typed_name(arguments: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut at = 0;
    let mut server_seen = false;
    for field in arguments.split(|byte| *byte == b',') {
        let end = at + field.len();
        let address = field.is_empty() || field[0].is_ascii_digit();
        if server_seen {
            return (!field.is_empty()).then(|| (&arguments[..at], field, &arguments[end..]));
        }
        server_seen = address && !field.contains(&b'=');
        at = end + 1;
    }
    None
}

/// What is needed of a BOOTP or DHCP reply.
struct Reply<'a> {
    own: [u8; 4],
    server: [u8; 4],
    gateway: [u8; 4],
    file: &'a [u8],
}

impl<'a> Reply<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let address = |at: usize| bytes.get(at..at + 4)?.first_chunk::<4>().copied();
        let file = bytes.get(108..236)?.split(|byte| *byte == 0).next()?;
        Some(Self { own: address(16)?, server: address(20)?, gateway: address(24)?, file })
    }

    fn folder(&self) -> &'a [u8] {
        folder(self.file)
    }
}

/// An address as people write it; the part of `text` that it takes.
fn dotted(address: [u8; 4], text: &mut [u8; 15]) -> &[u8] {
    let mut len = 0;
    for (index, number) in address.into_iter().enumerate() {
        if index > 0 {
            text[len] = b'.';
            len += 1;
        }
        for (power, least) in [(100, 100), (10, 10), (1, 0)] {
            if number >= least {
                text[len] = b'0' + number / power % 10;
                len += 1;
            }
        }
    }
    &text[..len]
}

/// The first line of commands that are whole only with the line that it names behind it.
/// `tools/image.sh` writes both; a file by hand need not.
const WHOLE: &[u8] = b"# Whole if it has the line: # end of commands";
const END: &[u8] = b"# end of commands";

/// Adds a script from the medium to the boot arguments, unless they have commands. What
/// is wrong with it, if anything is.
///
/// ```text
///  bootargs "mmu=hash"   +   "reboot --\n# at night\ninsmod demo\n"
///      ->   "mmu=hash reboot --\ninsmod demo\n"
/// ```
///
/// The first line may be boot words, if it ends with `--`; lines that begin with `#`
/// are left out, and so are empty ones and a CR at a line's end. A script without commands
/// is one that was lost, unless it asks for the prompt.
///
/// A line at the end and no length or sum, as archives have: people edit this file.
#[cfg_attr(target_os = "none", optimize(size))]
pub fn merge(bootargs: &mut Vec<u8>, script: &[u8]) -> Option<&'static str> {
    if find(bootargs, b"--").is_some() {
        return None;
    }
    let mut whole = !script.starts_with(WHOLE);
    let mut lines = 0; // that of boot words is the first, also if it has none
    add(bootargs, b" ");
    for line in script.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        whole |= line == END;
        if line.is_empty() || line[0] == b'#' {
            continue;
        }
        if lines == 0 && find(line, b"--").is_none_or(|at| at + 2 < line.len()) {
            add(bootargs, b"--\n");
            lines = 1;
        }
        lines += 1;
        add(bootargs, line);
        add(bootargs, b"\n");
    }
    if !whole {
        return Some("cut short: it has no line `# end of commands`");
    }
    (lines < 2 && find(bootargs, b"interactive").is_none()).then_some("no command is in it")
}

#[inline(never)]
fn add(bootargs: &mut Vec<u8>, more: &[u8]) {
    bootargs.extend_from_slice(more);
}

/// Where `word` first stands between blanks.
#[inline(never)]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn find(words: &[u8], word: &[u8]) -> Option<usize> {
    let [mut start, mut at] = [0; 2];
    loop {
        let byte = words.get(at);
        if byte.is_none_or(u8::is_ascii_whitespace) {
            if words.get(start..at) == Some(word) {
                return Some(start);
            }
            start = at + 1;
            byte?;
        }
        at += 1;
    }
}

/// The boot words, and the commands behind the first that is `--`, if there is one.
#[must_use]
#[inline(never)]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn split(bootargs: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (words, rest) = match find(bootargs, b"--") {
        Some(at) => bootargs.split_at_checked(at).unwrap_or_default(),
        None => return (bootargs, None),
    };
    (words, Some(rest.get(3..).unwrap_or_default()))
}

/// The value of the first word `KEY=VALUE` in front of `--`: what was typed at firmware
/// comes before what stands on the medium.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn value<'a>(bootargs: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let (words, _) = split(bootargs);
    let mut words = words.split(u8::is_ascii_whitespace);
    words.find_map(|word| word.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}

/// Every boot word but `console=...`.
const WORDS: [&str; 8] =
    ["interactive", "unattended", "reboot", "audit", "cas", "mmu=radix", "mmu=hash", "mmu=off"];

/// For a word that is no boot word: whether another was meant, or nothing. Firmware and
/// GRUB have words of their own.
#[must_use]
#[cfg_attr(target_os = "none", optimize(size))]
pub fn no_word(word: &[u8]) -> Option<String> {
    if word.is_empty() || word.starts_with(b"console=") {
        return None;
    }
    let mut nearest = Nearest::new(word);
    for known in WORDS {
        nearest.offer(known);
        if known.as_bytes() == word {
            return None;
        }
    }
    Some(nearest.remedy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(bootpath: &str, kind: Kind, reply: &[u8]) -> Vec<String> {
        (0..5)
            .map_while(|attempt| place(bootpath.as_bytes(), kind, reply, attempt, ARCHIVE))
            .map(|path| path.text().into())
            .collect()
    }

    fn reply(file: &str) -> Vec<u8> {
        let mut bytes = std::vec![0; 300];
        bytes[16..28].copy_from_slice(&[10, 0, 2, 15, 192, 168, 100, 2, 0, 0, 0, 0]);
        bytes[108..108 + file.len()].copy_from_slice(file.as_bytes());
        bytes
    }

    #[test]
    fn behind_a_prep_partition_comes_the_one_with_files() {
        let disk = "/vdevice/v-scsi@71000003/disk@8000000000000000";
        let want = [":2,\\boot\\initrd.img", ":1,\\boot\\initrd.img"];
        assert_eq!(places(disk, Kind::Block, &[]), want.map(|end| [disk, end].concat()));
    }

    #[test]
    fn beside_a_kernel_that_is_a_file_lie_its_files() {
        let places = |path| places(path, Kind::Block, &[]);
        assert_eq!(places("/cd:,\\boot\\tocsin.elf"), ["/cd:,\\boot\\initrd.img"]);
        assert_eq!(places("/cd:1,\\k.elf"), ["/cd:1,\\initrd.img"]);
        assert_eq!(places("/cd:\\ppc\\boot\\k"), ["/cd:\\ppc\\boot\\initrd.img"]);
    }

    #[test]
    fn a_server_is_asked_for_a_file_in_the_folder_of_the_kernel() {
        let lan = "/vdevice/l-lan@71000003";
        let full = ":192.168.100.2,lab\\initrd.img,10.0.2.15,0.0.0.0";
        assert_eq!(
            places(lan, Kind::Network, &reply("lab/tocsin.elf")),
            [[lan, ":,lab\\initrd.img"].concat(), [lan, full].concat()]
        );
        assert_eq!(places(lan, Kind::Network, &reply("k"))[0], [lan, ":,initrd.img"].concat());
        assert_eq!(places(lan, Kind::Network, &[0; 235]).len(), 1);
        assert_eq!(places(lan, Kind::Network, &[0; 236]).len(), 2);
    }

    #[test]
    fn typed_arguments_stay_but_for_the_name() {
        let place = |args: &str| places(&["/lan:", args].concat(), Kind::Network, &[])[0].clone();
        assert_eq!(place("10.0.0.1,a/k.elf,10.0.0.2"), "/lan:10.0.0.1,a\\initrd.img,10.0.0.2");
        assert_eq!(place("speed=auto,bootp,,k"), "/lan:speed=auto,bootp,,initrd.img");
        assert_eq!(place(",k"), "/lan:,initrd.img");
        assert_eq!(place("bootp"), "/lan:,initrd.img");
    }

    #[test]
    fn a_path_that_is_too_long_is_none() {
        assert!(Path::of(&[&[b'a'; PATH_BYTES - 1]]).is_some());
        assert!(Path::of(&[&[b'a'; PATH_BYTES - 1], b"b"]).is_none());
        assert!(Path::of(&[b"a\0b"]).is_none());
    }

    fn merged(bootargs: &str, script: &str) -> (String, Option<&'static str>) {
        let mut bytes = bootargs.as_bytes().to_vec();
        let trouble = merge(&mut bytes, script.as_bytes());
        (String::from_utf8(bytes).unwrap(), trouble)
    }

    #[test]
    fn commands_of_the_boot_arguments_come_before_a_script() {
        assert_eq!(merged("a -- b", "c").0, "a -- b");
        assert_eq!(merged("a--b", "c").0, "a--b --\nc\n");
    }

    #[test]
    fn a_first_line_with_two_dashes_at_its_end_is_boot_words() {
        assert_eq!(merged("mmu=hash", "# no\r\n\r\nreboot --\r\nx\n").0, "mmu=hash reboot --\nx\n");
        assert_eq!(merged("", "echo -- x\ny"), (" --\necho -- x\ny\n".into(), None));
        assert_eq!(merged("", " -- \r\n x").0, " --\nx\n");
    }

    #[test]
    fn a_script_without_commands_was_lost_unless_it_asks_for_the_prompt() {
        for script in ["", "\r\n\n", "# nothing", "reboot --", "reboot --\n \n# x\n"] {
            assert_eq!(merged("", script).1, Some("no command is in it"), "{script:?}");
        }
        assert_eq!(merged("", "interactive --\n").1, None);
        assert_eq!(merged("interactive", "").1, None);
        // Nobody asks for it.
        assert_eq!(merged("-- b", "").1, None);
    }

    /// As `tools/image.sh` writes it, cut after each of its bytes.
    #[test]
    fn a_script_that_says_how_it_ends_is_whole_or_cut() {
        let whole = std::format!("{}\nreboot --\necho a\necho b\n{}\n", text(WHOLE), text(END));
        let told = |len: usize| merged("", &whole[..len]).1;
        assert_eq!([whole.len() - 1, whole.len()].map(told), [None; 2]);
        for len in 0..whole.len() - 1 {
            assert!(told(len).is_some(), "{:?}", &whole[..len]);
        }
        // Continued; edited on another system; by hand from the start.
        assert_eq!(merged("", &(whole.clone() + "echo c\n")).1, None);
        assert_eq!(merged("", &whole.replace('\n', "\r\n")).1, None);
        assert_eq!(merged("", "echo a\n# end").1, None);
    }

    fn text(bytes: &[u8]) -> &str {
        core::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_first_value_counts() {
        assert_eq!(value(b"x console=a x console=b -- console=c", "console"), Some(&b"a"[..]));
        assert_eq!(value(b"consoles=a -- console=c", "console"), None);
    }

    #[test]
    fn a_word_that_is_none_is_told_with_the_one_that_was_meant() {
        for (word, meant) in [
            ("rebot", "reboot"),
            ("unatended", "unattended"),
            ("mmu=radiks", "mmu=radix"),
            ("mmu=hahs", "mmu=hash"),
            ("interaktive", "interactive"),
            ("cass", "cas"),
        ] {
            let remedy = std::format!("did you mean {meant}? ");
            assert_eq!(no_word(word.as_bytes()), Some(remedy), "{word}");
        }
        // Linux's, GRUB's, and what is nowhere near.
        for word in [
            "BOOT_IMAGE=/boot/tocsin/tocsin.elf",
            "root=/dev/sda2",
            "ro",
            "quiet",
            "splash",
            "mmu=4k",
        ] {
            assert_eq!(no_word(word.as_bytes()), Some(String::new()), "{word}");
        }
        for word in WORDS.into_iter().chain(["console=vty@30000001"]) {
            assert_eq!(no_word(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn words_end_and_commands_begin_at_two_dashes_between_blanks() {
        assert_eq!(split(b"a --b -- c -- d"), (&b"a --b "[..], Some(&b"c -- d"[..])));
        assert_eq!(split(b"--\na"), (&b""[..], Some(&b"a"[..])));
        assert_eq!(split(b"a\t--"), (&b"a\t"[..], Some(&b""[..])));
        for none in [&b"a--"[..], b"--b", b"---", b"- -", b""] {
            assert_eq!(split(none), (none, None));
        }
    }

    #[test]
    fn addresses_have_no_leading_zeros() {
        let mut text = [0; 15];
        assert_eq!(dotted([255, 100, 10, 0], &mut text), b"255.100.10.0");
        assert_eq!(dotted([101, 9, 99, 200], &mut text), b"101.9.99.200");
    }
}
