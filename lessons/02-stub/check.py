"""The answers, from what the machine says of pair_b."""

def signed(value, bits):
    return (value & (1 << bits) - 1 ^ 1 << bits - 1) - (1 << bits - 1)


def check(lab):
    given = lab.answers()
    lines, _ = lab.run(["insmod pair_a", "insmod pair_b", "sym pair_b_twice", "stubs pair_b", "dis pair_b_twice 40"])
    begin = int(lab.after(lines, "sym pair_b_twice")[0].split()[0], 16)
    at, _, _, target = lab.after(lines, "stubs pair_b")[0].split()
    stub = [line.split() for line in lab.after(lines, "dis pair_b_twice 40")]
    words = {int(address, 16): int(word, 16) for address, word, *_ in stub}
    high, low = words[int(at, 16) + 4], words[int(at, 16) + 8]
    distance = (signed(high, 16) << 16) + signed(low & 0xFFFC, 16)

    lab.expect(given, "stub", int(at, 16) - begin, "`dis pair_b_twice`: where does its first `bl` lead?", in_hex=True)
    lab.expect(given, "distance", distance, "The number of `addis` times 0x10000, plus that of `ld`.", in_hex=True)
    module, name = target.split(":")
    lab.expect_names(given, "target", [name], module, "`x` at r2 plus the distance, then `sym`.")
