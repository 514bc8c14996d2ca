"""Builds primes, and asks."""

# With products of two primes, up to the largest that 100,000 has.
NUMBERS = (0, 1, 2, 3, 4, 91, 97, 7919, 99991, 99999, 65521, 65536, 66049, 97969, 99221)


def prime(n):
    return n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1))


def check(lab):
    primes = lab.module("primes", "primes.rs")
    commands = ["insmod primes", *(f"call primes_is {n}" for n in NUMBERS), "modinfo primes", "rmmod primes"]
    lines, _ = lab.run(commands, [primes])
    expected = {"insmod primes": ["primes: ready"], "rmmod primes": [f"primes: asked {len(NUMBERS)} times"]}
    expected.update({f"call primes_is {n}": [f"= {int(prime(n)):#x}"] for n in NUMBERS})
    for command in commands:
        got = lab.after(lines, command)
        if command in expected and got != expected[command]:
            raise NotYet(f"`{command}` prints {got}, not {expected[command]}")
    with open(primes, "rb") as file:
        if b"__ksymtab_primes_is" not in file.read():
            raise NotYet("primes_is is not exported: export_symbol_gpl!")
