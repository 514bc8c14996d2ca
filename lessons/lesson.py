#!/usr/bin/env python3
"""The lessons: their sessions replayed, their exercises handed out and graded.

    lesson.py show N        what to read and do; hands out the exercise (make lesson N=3)
    lesson.py grade N       is the exercise done? (make grade N=3)
    lesson.py replay [N]    types what the pages show, and compares every line; also
                            those of the book's chapters (N is reader/03-toc)
    lesson.py test [N]      the same, and: each exercise as handed out fails, each
                            solution passes, each wrong answer that is kept is refused;
                            ends with `N passed, N failed`
    lesson.py record N      puts into a page what its commands print now, where that differs
    lesson.py renew [N]     gives a page, or all, this build's addresses; a page whose
                            session says something else stays as it is, and is named

    docs/lessons/03-words.md      the page (docs/reader/*.md: the book's chapters; a page in
                                  docs itself may have a session, too: ./registers)
    lessons/03-words/             the exercise as it is handed out, and check.py
    lessons/solutions/03-words/   one way to do it
    lessons/wrong/03-words/TAG/   what it must not be: files that differ from the solution's,
                                  and words of the refusal, in refused.txt
    lessons/right/01-entry/TAG/   other ways to do it: files that differ from the solution's
    exercises/03-words/           yours: what `show` makes and `grade` reads

A page's blocks that begin with ```console are one session, each line `> COMMAND` and
then what it prints. `...` is any lines. A long number in hex (0x and 7 digits or more)
is an address: another build may have another one, but it has to be the same one
everywhere on the page; one in a command is replaced by this build's. Times are any
times, and `…` is anything within a line. All else is compared as it stands. The comment
`<!-- session MMU=off modules=a,b build=m:x.c,y.S -->` has variables of qemu/run.sh,
modules, and modules to be built of the exercise's files.
"""

import concurrent.futures
import difflib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
DOCS = os.path.join(ROOT, "docs")
PAGES = os.path.join(DOCS, "lessons")
YOURS = os.path.join(ROOT, "exercises")
BUILT = os.path.join(ROOT, "target", "lessons")
sys.path[:0] = [HERE, os.path.join(ROOT, "qemu")]

sys.dont_write_bytecode = True
import cases  # noqa: E402  (qemu/cases.py: where modules are found)

# `make module` remembers who exports what: one at a time.
BUILDING = threading.Lock()
# Below are the kernel's own functions and data, each of which may move by itself.
MODULES_FROM = 0x10000000
# What may be another one each time: times and durations in a trace, and `…`.
ANYTHING = (r"\b[0-9]+\.[0-9]{6}\b", r"\) [ +!#*@$] *[0-9.]+ us *\|", "…")
ADDRESS = re.compile(r"0x[0-9a-f]{7,16}\b")


def names():
    """The lessons, in order: 01-entry, ..."""
    return sorted(name[:-3] for name in os.listdir(PAGES) if re.match(r"\d\d-.*\.md$", name))


def lesson(number):
    for name in names():
        if number.isdecimal() and int(name[:2]) == int(number):
            return name
    if number in chapters():
        return number
    sys.exit(f"lesson: {number or 'N'}: there are lessons 1 to {len(names())}: make lesson N=1")


# --- pages ------------------------------------------------------------------


def chapters():
    """The other pages that have a session: reader/03-toc, ..., ./registers, ..."""
    found = []
    for folder in ("reader", "."):
        for file in sorted(os.listdir(os.path.join(DOCS, folder))):
            if file.endswith(".md"):
                with open(os.path.join(DOCS, folder, file), encoding="utf-8") as text:
                    if "\n```console\n" in text.read():
                        found.append(f"{folder}/{file.removesuffix('.md')}")
    return found


class Page:
    """A page of a lesson or of the book: its title, its session, and where that stands."""

    def __init__(self, name, lines=None):
        self.name = name
        self.path = os.path.join(DOCS if "/" in name else PAGES, name + ".md")
        self.lines = lines
        if lines is None:
            with open(self.path, encoding="utf-8") as file:
                self.lines = file.read().split("\n")
        self.title = self.lines[0].lstrip("# ")
        self.settings, self.modules, self.build = [], [], []
        for line in self.lines:
            found = re.fullmatch(r"<!-- session (.*) -->", line)
            for word in found[1].split() if found else []:
                if word.startswith("modules="):
                    self.modules = word[8:].split(",")
                elif word.startswith("build="):
                    self.build.append(word[6:].split(":"))
                else:
                    self.settings.append(word)

    def all_modules(self, name):
        """The modules that the session needs, built where they are the lesson's own."""
        lab = Lab(name, os.path.join(HERE, name))
        return self.modules + [lab.module(out, *sources.split(",")) for out, sources in self.build]

    def session(self):
        """(number of the line, the line) of what is typed and printed."""
        inside = False
        for number, line in enumerate(self.lines):
            if line.startswith("```"):
                inside = line == "```console"
            elif inside:
                yield number, line

    def steps(self, here):
        """(command, what the page says that it prints), with this build's addresses."""
        steps = []
        for _, line in self.session():
            if line.startswith("> "):
                steps.append((ADDRESS.sub(lambda found: moved(found[0], here), line[2:]), []))
            else:
                steps[-1][1].append(line)
        return steps


def moved(address, here):
    """This build's address for one of the page's: that of its neighbour tells.

    A module's image moves as a whole, so what lies near has moved as far.
    """
    at = int(address, 16)
    near = min(here, key=lambda known: abs(known - at), default=None)
    if near is None or abs(near - at) > 0x10000:
        return address
    return f"{here[near] + at - near:#x}"


def as_on_page(line, there):
    """The line with the page's addresses, as far as the page has them or their neighbours."""
    def one(found):
        at = int(found[0], 16)
        page = there.get(at, at) if at < MODULES_FROM else int(moved(found[0], there), 16)
        return f"{page:#0{len(found[0])}x}"
    return ADDRESS.sub(one, line)


def fits(expected, line, here):
    """The addresses known afterwards if a line is what the page says; or None."""
    pieces = re.split(f"({ADDRESS.pattern}|{'|'.join(ANYTHING)})", expected)
    regex = ""
    for number, piece in enumerate(pieces):
        kind = next((kind for kind in ANYTHING if re.fullmatch(kind, piece)), None)
        if number % 2 == 0:
            regex += re.escape(piece)
        else:
            regex += "(0x[0-9a-f]+)" if kind is None else ".*" if kind == "…" else kind
    found = re.fullmatch(regex, line)
    if not found:
        return None
    known = dict(here)
    for page, live in zip((piece for piece in pieces[1::2] if ADDRESS.fullmatch(piece)), found.groups()):
        at, is_at = int(page, 16), int(live, 16)
        if known.setdefault(at, is_at) != is_at or not alike(at, is_at, known):
            return None
    return known


def alike(at, is_at, known):
    """Whether an address of a module or stack lies where its neighbours say."""
    if at < MODULES_FROM:
        return True
    return all(known[a] - a == is_at - at for a in known if abs(a - at) < 0x1000 and a >= MODULES_FROM)


def all_fit(expected, lines, here):
    """The same for all that a command prints; `...` takes as few lines as it can."""
    if not expected:
        return here if not lines else None
    if expected[0] == "...":
        for skipped in range(len(lines) + 1):
            known = all_fit(expected[1:], lines[skipped:], here)
            if known is not None:
                return known
        return None
    known = fits(expected[0], lines[0], here) if lines else None
    return None if known is None else all_fit(expected[1:], lines[1:], known)


def follow(steps, answers):
    """(what is wrong, addresses by the page's) of a session."""
    here = {}
    for (command, expected), got in zip(steps, answers):
        known = all_fit(expected, got, here)
        if known is None:
            return [f"> {command}"] + [row for row in difflib.ndiff(expected, got) if row[0] != "?"], here
        here = known
    if len(answers) < len(steps):
        return [f"> {steps[len(answers)][0]}", "  was not reached"], here
    return [], here


def cut(commands, lines):
    """What each command printed; those that were not reached are missing."""
    answers, current = [], None
    for line in lines[:-1]:  # the last is the verdict
        if len(answers) < len(commands) and line == "> " + commands[len(answers)]:
            current = []
            answers.append(current)
        elif current is not None:
            current.append(line)
    return answers


def replay(name):
    """What is wrong with a page's session, as lines; [] if nothing."""
    return played(name)[0]


def played(name):
    """(what is wrong, as lines; the page, its steps, what they printed, addresses by the page's)."""
    page, lab, here = Page(name), Lab(name), {}
    modules = page.all_modules(name)
    settings = dict(word.split("=", 1) for word in page.settings)
    wrong, steps, answers, known = ["no session"], [], [], {}
    # Commands with addresses: the first run says where things are in this build.
    for _ in range(3):
        steps = page.steps(here)
        commands = [command for command, _ in steps]
        lines, _ = lab.run(commands, modules, **settings)
        answers = cut(commands, lines)
        wrong, known = follow(steps, answers)
        if not wrong or page.steps(known) == steps:
            break
        here = known
    wrong += [f"the console: {os.path.relpath(lab.work, ROOT)}/console.log"] if wrong else []
    return wrong, page, steps, answers, known


def record(name):
    """Puts what is printed now behind each command; what fits already stays, with its `...`."""
    page, lab, known = Page(name), Lab(name), {}
    settings = dict(word.split("=", 1) for word in page.settings)
    modules = page.all_modules(name)
    for _ in range(3):  # as `replay`
        steps = page.steps(known)
        commands = [command for command, _ in steps]
        lines, _ = lab.run(commands, modules, **settings)
        known, new = {}, []
        for (_, expected), got in zip(steps, cut(commands, lines)):
            fit = all_fit(expected, got, known)
            new.append((expected, got, fit is not None))
            known = known if fit is None else fit
        if page.steps(known) == steps:
            break
    # What is new gets the page's addresses: a page has one set of them.
    there = {live: at for at, live in known.items()}
    new = [expected if fit else [as_on_page(line, there) for line in got] for expected, got, fit in new]
    out, inside, skipping = [], False, False
    for line in page.lines:
        if line.startswith("```"):
            inside, skipping = line == "```console", False
        if inside and line.startswith("> "):
            out += [line, *(new.pop(0) if new else [])]
            skipping = True
        elif not (inside and skipping):
            out.append(line)
    with open(page.path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))


def renewed(page, steps, answers, here):
    """(the page's lines with this build's addresses, those that it has elsewhere in its text).

    Nothing else changes: times, `...` and `…` stay what they are.
    """
    def live(found):
        at = int(found[0], 16)
        return f"{here[at]:#0{len(found[0])}x}" if at in here else found[0]

    typed = iter(steps)
    session = dict(page.session())
    lines, elsewhere = [], set()
    for number, line in enumerate(page.lines):
        if number in session and line.startswith("> "):
            lines.append("> " + next(typed)[0])
        else:
            lines.append(ADDRESS.sub(live, line))
            if number not in session:
                elsewhere.update(address for address in ADDRESS.findall(line) if int(address, 16) not in here)
    new = Page(page.name, lines)
    wrong, known = follow(new.steps({}), answers)
    moved_on = {hex(at): hex(is_at) for at, is_at in known.items() if at != is_at}
    if wrong or moved_on:
        raise ValueError(f"{page.name}: with these addresses it is not what was printed: {wrong or moved_on}")
    return lines, sorted(elsewhere)


def renew(name):
    """(whether the session says what the page does, what to tell, as lines)."""
    wrong, page, steps, answers, here = played(name)
    if wrong:
        return False, wrong
    try:
        lines, elsewhere = renewed(page, steps, answers, here)
    except ValueError as why:
        return False, [str(why)]
    told = [f"{address}: not in the session: stays" for address in elsewhere]
    if lines == page.lines:
        return True, told
    with open(page.path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return True, [f"{sum(a != b for a, b in zip(lines, page.lines))} lines renewed", *told]


def renew_all(which):
    """Renews pages, one after the other, and says of each what became of it."""
    left = 0
    for name in which:
        done, told = renew(name)
        left += not done
        print("\n     ".join([f"{'ok  ' if done else 'LEFT'} {name}", *told]), flush=True)
    print(f"{len(which) - left} pages have this build's addresses, {left} left as they were")
    return 1 if left else 0


# --- exercises --------------------------------------------------------------


class NotYet(Exception):
    """What is still missing, said to the person who does the exercise."""


def numbers(text, in_hex=False):
    """What a text may mean as a number: 12, 0xc, `= 0xc`; in_hex, c and 12 are hex as well."""
    found = re.fullmatch(r"=? *([-+]?)(0x)?([0-9a-f]+)", text.strip().lower())
    if not found:
        return set()
    sign, mark, digits = found.groups()
    meant = {int(digits, 16)} if mark or in_hex else set()
    if not mark and digits.isdecimal():
        meant.add(int(digits))
    return {-value if sign == "-" else value for value in meant}


def functions(text, module):
    """Names of a module's functions, also as MOD:NAME and as NAME+0x4/0x10 [MOD]."""
    text = re.sub(rf" +\[{module}\]", "", text.strip())
    words = text.replace(",", " ").split()
    return [re.sub(r"\+0x[0-9a-f]+(/0x[0-9a-f]+)?$", "", word.removeprefix(module + ":")) for word in words]


class Lab:
    """What checks work with: a compiler, a machine, a file of answers."""

    def __init__(self, name, folder=None, whose=None):
        self.name = name
        self.folder = folder
        whose = whose or (os.path.basename(os.path.dirname(folder)) if folder else "page")
        self.work = os.path.join(BUILT, whose, name)
        os.makedirs(self.work, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def text(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read()
        except (OSError, UnicodeDecodeError) as why:
            raise NotYet(f"{name}: cannot be read: {why}") from None

    def answers(self, name="answers.txt"):
        """The lines `key = value`; a value that is still empty is not yet."""
        found = {}
        for line in self.text(name).splitlines():
            key, mark, value = line.partition("=")
            if mark and not line.startswith("#"):
                found[key.strip()] = value.strip()
        for key, value in found.items():
            if not value:
                raise NotYet(f"{name}: {key}: no answer yet")
        return found

    def expect(self, answers, key, right, hint, in_hex=False):
        """An answer is the number `right`, however it is written."""
        given = answers.get(key, "")
        if right not in numbers(given, in_hex):
            what = "no" if numbers(given, in_hex) else "is no number: write 12 or 0xc"
            raise NotYet(f"{key} = {given}: {what}. {hint}")

    def expect_names(self, answers, key, right, module, hint):
        """An answer is the functions `right`, in any order, however the shell shows them."""
        given = answers.get(key, "")
        if sorted(functions(given, module)) != sorted(right):
            raise NotYet(f"{key} = {given}: no. {hint}")

    def module(self, name, *sources, flags="-Werror"):
        """Builds `name`.ko as `make module` does; its path."""
        out = os.path.join(self.work, name + ".ko")
        command = ["make", "-s", "--no-print-directory", "-C", os.path.join(ROOT, "modules"), "module",
                   f"SRC={' '.join(self.path(s) for s in sources)}", f"OUT={out}", f"MODULE_FLAGS={flags}"]
        with BUILDING:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise NotYet(f"{', '.join(sources)}: does not compile:\n{done.stdout.decode()}")
        return out

    def run(self, commands, modules=(), **settings):
        """Types the commands; (the lines that the machine printed, the verdict)."""
        files = [m if os.path.isabs(m) else cases.find_module(m) for m in modules]
        env = {k: v for k, v in os.environ.items() if k not in ("GDB", "CALLER", "MEDIUM")}
        env.update({"FIRMWARE": "vof", "TIMEOUT": "60", **settings})
        env["CMD"] = "\n".join(["set +e", "set -x", *commands])
        env["MODULES"] = " ".join(f'"{file}"' for file in files)
        env["CONSOLE_LOG"] = os.path.join(self.work, "console.log")
        done = subprocess.run(
            [os.path.join(ROOT, "qemu", "run.sh")], env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        )
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        return lines, lines[-1] if lines else "tocsin: nothing was printed"

    def after(self, lines, command):
        """What was printed behind a command."""
        try:
            begin = lines.index("> " + command) + 1
        except ValueError:
            raise NotYet(f"the machine did not get as far as `{command}`:\n" + "\n".join(lines[-12:])) from None
        end = next((i for i, l in enumerate(lines[begin:], begin) if l.startswith(("> ", "tocsin: "))), len(lines))
        return lines[begin:end]


def grade(name, folder, whose=None):
    """None if the exercise in the folder is done, or what is missing."""
    path = os.path.join(HERE, name, "check.py")
    spec = importlib.util.spec_from_file_location("check_" + name.replace("-", "_"), path)
    check = importlib.util.module_from_spec(spec)
    check.NotYet = NotYet
    spec.loader.exec_module(check)
    try:
        check.check(Lab(name, folder, whose))
    except NotYet as why:
        return str(why)
    except (AttributeError, IndexError, KeyError, ValueError) as why:
        return f"the machine or the answers are not as they were expected ({why!r})"
    return None


def hand_out(name):
    """The person's own copy of an exercise; what is there already stays."""
    folder = os.path.join(YOURS, name)
    os.makedirs(folder, exist_ok=True)
    for file in sorted(os.listdir(os.path.join(HERE, name))):
        if file != "check.py" and not file.startswith("__") and not os.path.exists(os.path.join(folder, file)):
            shutil.copy(os.path.join(HERE, name, file), folder)
    return folder


def show(name):
    page = Page(name)
    folder = hand_out(name)
    print(f"{page.title}\n")
    print(f"  read      {os.path.relpath(page.path)}   (or the book: make book)")
    run = ["make run", *page.settings]
    files = [os.path.relpath(cases.find_module(module)) for module in page.modules]
    for out, sources in page.build:
        here = os.path.relpath(folder)
        files.append(f"{here}/{out}.ko")
        print(f"  build     make module SRC=\"{' '.join(f'{here}/{s}' for s in sources.split(','))}\" OUT={files[-1]}")
    if files:
        run.append(f'MODULES="{" ".join(files)}"')
    print(f"  type      the session there, at the prompt of: {' '.join(run)}")
    print(f"  do        {os.path.relpath(folder)}: " + ", ".join(sorted(os.listdir(folder))))
    print(f"  then      make grade N={int(name[:2])}")
    print(f"  if stuck  lessons/solutions/{name}")


def kept(kind, name):
    """The answers to a lesson that are kept, of a kind: right or wrong."""
    folder = os.path.join(HERE, kind, name)
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def graded(kind, name, tag):
    """What `grade` says to an answer that is kept."""
    folder = os.path.join(BUILT, f"{kind}-{tag}", "answer", name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(HERE, "solutions", name), folder)
    shutil.copytree(os.path.join(HERE, kind, name, tag), folder, dirs_exist_ok=True)
    return grade(name, folder, f"{kind}-{tag}")


def refused(name, tag):
    """What is wrong, as lines, with the refusal of a wrong answer."""
    with open(os.path.join(HERE, "wrong", name, tag, "refused.txt"), encoding="utf-8") as file:
        expected = file.read().strip()
    missing = graded("wrong", name, tag)
    if missing is None:
        return ["it passes"]
    return [] if expected in missing else [f"refused, but not for `{expected}`: {missing}"]


def trial(job):
    """Runs one test: (its name, what is wrong as lines)."""
    what, name, *tag = job
    if what == "session":
        return f"{name}: its session is what the page shows", replay(name)
    if what == "handed out":
        missing = grade(name, os.path.join(HERE, name))
        return f"{name}: the exercise as handed out is not done", [] if missing else ["it is done already"]
    if what == "right":
        missing = graded(what, name, tag[0])
        return f"{name}: {tag[0]}: another right answer is taken", [missing] if missing else []
    if what == "wrong":
        return f"{name}: {tag[0]}: a wrong answer is refused", refused(name, tag[0])
    missing = grade(name, os.path.join(HERE, "solutions", name))
    return f"{name}: the solution is right", [missing] if missing else []


def test(jobs):
    """Runs tests, two at a time."""
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(cases.AT_ONCE) as pool:
        for name, wrong in pool.map(trial, jobs):
            failed += bool(wrong)
            print("\n     ".join([f"{'FAIL' if wrong else 'ok  '} {name}", *wrong]), flush=True)
    print(f"{len(jobs) - failed} passed, {failed} failed")
    return 1 if failed else 0


def main(words):
    verb, *rest = words or ["help"]
    if verb in ("show", "grade", "record") and len(rest) <= 1:
        name = lesson(rest[0] if rest else "")
        if "/" in name and verb != "record":
            return main([])
        if verb == "show":
            return show(name)
        if verb == "record":
            return record(name)
        missing = grade(name, hand_out(name))
        print(f"lesson {int(name[:2])}: " + ("done" if missing is None else f"not yet: {missing}"))
        return 0 if missing is None else 1
    if verb == "renew":
        return renew_all([lesson(n) for n in rest] or names() + chapters())
    if verb in ("replay", "test"):
        kinds = ["session"] if verb == "replay" else ["session", "handed out", "solution"]
        which = [lesson(n) for n in rest] or names() + chapters()
        jobs = [(kind, name) for name in which for kind in kinds if "/" not in name or kind == "session"]
        if verb == "test":
            jobs += [(kind, name, tag) for kind in ("right", "wrong") for name in which for tag in kept(kind, name)]
        return test(jobs)
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
