//! `tocsin-ko`: looks at modules before they are booted.
//!
//! ```text
//!  tocsin-ko hello.ko                    what it is, and whether Tocsin would load it
//!  tocsin-ko relocs hello.ko 12          one relocation, with all that goes into it
//!  tocsin-ko check /lib/modules/6.1      how many would load, and why the others not
//! ```
//!
//! | file | does |
//! |---|---|
//! | `file` | reads, unpacks, links |
//! | `world` | the exports that a module would meet |
//! | `views` | sections, relocations, stubs ... as tables |
//! | `check` | the verdict, for one and for many |
//! | `table` | text and JSON |
//!
//! All work is the library's that the kernel is made of. The module is linked at a
//! made-up base against stand-in addresses; everything else is as on the machine.
#![forbid(unsafe_code)]

mod check;
mod file;
mod table;
mod views;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use tocsin::shell::near::Nearest;

use check::Facts;
use file::File;
use table::Table;
use views::{SUBJECTS, View, imports};
use world::{Presence, World};

const USAGE: &str = "\
usage: tocsin-ko [COMMAND] FILE... [--json] [--with FILE|FOLDER]...

commands:
  overview   (or none) what is in it, and whether Tocsin would load it
  info       what the module says of itself, and whether that fits (also: modinfo)
  sections   where each would lie
  relocs     what becomes of each relocation; `relocs FILE N` explains one
  stubs      the call stubs that it needs
  sites      the places where its functions can be traced or patched
  imports    names that it wants, and from whom; `missing`: those that nobody has
  exports    names that it offers
  check      would it load? For a FOLDER: how many would, and why the others not

FILE is a .ko, .ko.xz or .ko.zst; FOLDERs `build` and `source` in a FOLDER are left out.
--with loads other modules first (a folder: all in it that load). --json prints JSON.
-v lists every module of a FOLDER.
The status is 0 if everything would load (of other commands: could be shown), also
what comes with --with FILE; 1 if not; 2 for a wrong command line or a file that
cannot be read.
example: tocsin-ko relocs target/modules/hello.ko 1";

/// What the command line asks for.
#[derive(Default)]
struct Request {
    command: String,
    files: Vec<PathBuf>,
    /// The relocation to explain.
    number: Option<usize>,
    with: Vec<PathBuf>,
    json: bool,
    verbose: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match parse(&words).and_then(|request| run(&request)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("tocsin-ko: {why}");
            ExitCode::from(2)
        }
    }
}

/// What is typed for a command, and the command; the first is also offered when
/// something much like it was typed.
fn commands() -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = [("overview", "overview"), ("check", "check"), ("modinfo", "info")];
    own.into_iter().chain(SUBJECTS.iter().map(|(name, _)| (*name, *name)))
}

const OPTIONS: [&str; 4] = ["--help", "--json", "--verbose", "--with"];

/// ` (did you mean NAME?)`, or where the right words stand.
fn hint<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> String {
    let mut nearest = Nearest::new(word.as_bytes());
    for name in names {
        let _ = nearest.offer(name);
    }
    match nearest.name() {
        Some(name) => format!(" (did you mean {name}?)"),
        None => " (--help lists them)".into(),
    }
}

fn parse(words: &[String]) -> Result<Request, String> {
    let mut request = Request::default();
    let mut words = words.iter().peekable();
    let command = |word: &str| commands().find(|(typed, _)| *typed == word);
    request.command = "overview".into();
    let mut named = false;
    if let Some(word) = words.peek().filter(|word| !Path::new(word).is_file()) {
        if let Some((_, command)) = command(word) {
            request.command = command.into();
            named = true;
            words.next();
        } else if *word == "help" {
            print(USAGE);
            std::process::exit(0);
        }
    }
    while let Some(word) = words.next() {
        match word.as_str() {
            "-h" | "--help" => {
                print(USAGE);
                std::process::exit(0);
            }
            "--json" => request.json = true,
            "-v" | "--verbose" => request.verbose = true,
            "--with" => {
                let path = words.next().ok_or("--with: a FILE or FOLDER is missing")?;
                request.with.push(path.into());
            }
            word if word.starts_with('-') => {
                let hint = hint(word, OPTIONS.into_iter());
                return Err(format!("{word}: no such option{hint}"));
            }
            word if Path::new(word).exists() => request.files.push(word.into()),
            word if request.command == "relocs" => match word.parse() {
                Ok(number) => request.number = Some(number),
                Err(_) => {
                    let usage = "(usage: relocs FILE [NUMBER])";
                    return Err(format!("{word}: neither a file nor a number {usage}"));
                }
            },
            // A path has a dot or a slash, a command has neither.
            word if !named && request.files.is_empty() && !word.contains(['.', '/']) => {
                let hint = hint(word, commands().map(|(typed, _)| typed));
                return Err(format!("{word}: neither a command nor a file{hint}"));
            }
            word => return Err(format!("{word}: no such file or folder")),
        }
    }
    if request.files.is_empty() {
        return Err(format!("no FILE\n{USAGE}"));
    }
    Ok(request)
}

/// True if everything would load, or was shown.
fn run(request: &Request) -> Result<bool, String> {
    let mut world = World::new();
    let mut well = load_others(&request.with, &mut world)?;
    if request.command == "check" || request.files.iter().any(|path| path.is_dir()) {
        if request.command != "check" && request.command != "overview" {
            return Err(format!("{}: a FOLDER can be checked only", request.command));
        }
        return Ok(check_all(request, world)? && well);
    }
    let mut documents = Vec::new();
    for path in &request.files {
        let (fine, document) = show(request, path, &world)?;
        well &= fine;
        documents.push(document);
    }
    if request.json {
        let whole =
            if documents.len() == 1 { documents.remove(0) } else { Value::Array(documents) };
        print(&format!("{whole:#}"));
    }
    Ok(well)
}

/// Loads what `--with` names. True if all that is named would load; what would not is
/// told beside the output. Of a folder it is enough if something would.
fn load_others(paths: &[PathBuf], world: &mut World) -> Result<bool, String> {
    let mut others = Vec::new();
    for path in paths {
        for file in file::find(path)? {
            let facts = match path.is_dir() {
                true => Facts::of_many(&file, world),
                false => Facts::of(&file, world)?,
            };
            others.push(facts);
        }
    }
    check::settle(&mut others, world, Presence::Loaded);
    let mut well = true;
    for path in paths {
        let mut inside = others.iter().filter(|other| other.path.starts_with(path));
        let why = match others.iter().find(|other| other.path == *path) {
            Some(other) => other.refusal.as_ref().map(|refusal| refusal.text.as_str()),
            None => (!inside.any(|other| other.taken)).then_some("no module in it does"),
        };
        if let Some(why) = why {
            well = false;
            eprintln!("tocsin-ko: --with {}: would not load: {why}", path.display());
        }
    }
    Ok(well)
}

/// The verdict on files and folders, as if all in them were there to be loaded.
fn check_all(request: &Request, mut world: World) -> Result<bool, String> {
    let mut modules = Vec::new();
    for path in &request.files {
        for file in file::find(path)? {
            modules.push(match path.is_dir() {
                true => Facts::of_many(&file, &world),
                false => Facts::of(&file, &world)?,
            });
        }
    }
    check::settle(&mut modules, &mut world, Presence::Available);
    let (summary, wanted) = (check::summary(&modules), check::wanted(&modules, &world));
    let list = check::list(&modules, &world);
    if request.json {
        let tables = [&summary, &wanted, &list];
        let whole = Map::from_iter(tables.map(|table| (table.name.to_string(), table.json())));
        print(&format!("{:#}", Value::Object(whole)));
    } else {
        let folder = request.files.iter().any(|path| path.is_dir());
        if request.verbose || !folder {
            print(&list.text());
        }
        if folder {
            print(&summary.text());
            print(&wanted.text());
        }
    }
    Ok(check::all_load(&modules))
}

/// Shows one file; true if it would load or could be shown, and the same as JSON.
fn show(request: &Request, path: &Path, world: &World) -> Result<(bool, Value), String> {
    let overview = request.command == "overview";
    let mut document = Map::new();
    document.insert("file".into(), json!(path.display().to_string()));
    if !request.json && request.files.len() > 1 {
        print(&format!("{}:", path.display()));
    }
    let refused = |mut document: Map<String, Value>, why: String| {
        document.insert("loads".into(), json!(false));
        document.insert("reason".into(), json!(why));
        if !request.json {
            print(&format!("would not load: {why}"));
        }
        Ok((false, Value::Object(document)))
    };
    let file = match File::read(path)? {
        Ok(file) => file,
        Err(why) => return refused(document, why.text),
    };
    let module = match file.look(world) {
        Ok(module) => module,
        Err(why) => return refused(document, why.to_string()),
    };
    let view = View { module: &module, world };
    let add = |document: &mut Map<String, Value>, table: &Table| {
        document.insert(table.name.into(), table.json());
    };
    if let Some(number) = request.number {
        let (text, table) =
            view.reloc(number).map_err(|why| format!("{}: {why}", path.display()))?;
        add(&mut document, &table);
        if !request.json {
            print(&text);
        }
        return Ok((true, Value::Object(document)));
    }
    if !overview {
        for (_, subject) in SUBJECTS.iter().filter(|(name, _)| *name == request.command) {
            let table = subject(&view);
            add(&mut document, &table);
            if !request.json {
                print(&table.text());
            }
        }
        return Ok((true, Value::Object(document)));
    }
    let name = file.name(&module.object);
    let borrows = check::borrowed_from(imports(&module.object).map(|(_, _, name)| name));
    let verdict = file.verdict(world).map(|mut notes| {
        notes.extend(check::waits(&borrows, world));
        notes
    });
    document.insert("name".into(), json!(name));
    document.insert("bytes".into(), json!(file.len));
    document.insert("compression".into(), json!(file.pack.map(|pack| pack.to_string())));
    document.insert("loads".into(), json!(verdict.is_ok()));
    document.insert("reason".into(), json!(verdict.as_ref().err().map(|why| &why.text)));
    document.insert("notes".into(), json!(verdict.as_ref().ok()));
    // Relocations can be hundreds of thousands: they are shown when asked for.
    let shown = SUBJECTS.iter().filter(|(name, _)| request.json && *name != "relocs");
    shown.for_each(|(_, subject)| add(&mut document, &subject(&view)));
    let overview = view.overview();
    add(&mut document, &overview);
    if !request.json {
        let pack = file.pack.map_or(String::new(), |pack| format!(", {pack}"));
        print(&format!("{name}: {} bytes{pack}", file.len));
        print(&overview.text());
        match &verdict {
            Ok(notes) => {
                notes.iter().for_each(|note| print(&format!("note: {note}")));
                print("would load");
            }
            Err(why) => print(&format!("would not load: {}", why.text)),
        }
    }
    Ok((verdict.is_ok(), Value::Object(document)))
}

/// Prints text that may or may not end its line; a closed pipe ends the program.
fn print(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    if write!(out, "{text}{end}").is_err() {
        std::process::exit(0);
    }
}
