"""Puts the generated function of one block together: read, make the members, finish, name and note the resource."""

from __future__ import annotations

from itertools import groupby

from mappings.engine.bound import BoundRule
from mappings.engine.codelines import indented
from mappings.engine.codepieces import Piece, Pieces
from mappings.engine.memo import Finish, Whole

_TWINS = 6


class BlockWriter(Pieces):
    """Writes the function of one block."""

    def text(self) -> str | None:
        """The source of the function; None when the block's own words ask too much."""
        block = self.block
        if block.type == "Patient":
            return self.whole()
        pieces = [self.piece(index, rules) for index, rules in enumerate(self.groups())]
        when = self.word("when", block.when) if block.when is not None else ([], [])
        keys = [self.word(f"k{index}", rule) for index, rule in enumerate(block.key)]
        clock = self.word("clock", block.clock) if block.clock is not None else ([], [])
        if when is None or clock is None or not keys or None in keys:
            return None
        words = [*when[1], *(line for key in keys if key for line in key[1])]
        self.twin = self.twins(pieces, words)
        return "\n".join(self.assemble(pieces, when, [key for key in keys if key], clock)) + "\n"

    def whole(self) -> str | None:
        """The function of a Patient block: all of it is remembered under all that it reads."""
        block = self.block
        rules = [*block.rules, *([block.when] if block.when is not None else [])]
        slots = self.slots(rules)
        clock = self.word("clock", block.clock) if block.clock is not None else ([], [])
        if slots is None or clock is None or block.key:
            return None
        raws = [self.local(slot) for slot in slots]
        raws += [f"facts.get({name!r}, '')" for name in self.facts(rules)]
        ask, known = self.bind(Whole(block)), self.memo_name()
        here = [
            f"k = ({', '.join(raws)},)" if raws else "k = ()",
            f"made = {known}.get(k)",
            "if made is None:",
            f"    made = {ask}.build(run, scope, {known}, k)",
            "    if made is not None: add(made)",
            "    continue",
            *self.clocked(clock),
            f"add({ask}.again(run, scope, made, us))",
        ]
        return "\n".join(self.framed([*clock[0]], here, False)) + "\n"

    def groups(self) -> list[list[tuple[int, BoundRule]]]:
        """Rules by the top-level element they write, in the order of the first of each."""
        found: dict[str, list[tuple[int, BoundRule]]] = {}
        for number, rule in enumerate(self.block.rules):
            found.setdefault(self.element(rule), []).append((number, rule))
        return list(found.values())

    def element(self, rule: BoundRule) -> str:
        """``value`` for ``value[x]`` and for what any of its choices is called."""
        choices = [one.element for one in self.block.rules if one.path == f"{one.element}[x]"]
        return next((base for base in choices if rule.element.startswith(base)), rule.element)

    def ordered(self) -> bool:
        """Whether the rules of each element stand together, so that members come in the order of groups."""
        runs = [name for name, _ in groupby(self.block.rules, self.element)]
        return len(runs) == len(set(runs))

    def assemble(
        self,
        pieces: list[Piece],
        when: tuple[list[str], list[str]],
        keys: list[tuple[list[str], list[str]]],
        clock: tuple[list[str], list[str]],
    ) -> list[str]:
        block = self.block
        parts, gathered = self.parts(pieces)
        fixed = sum(piece.bits for piece in pieces if piece.fixed is not None)
        moving = [index for index, piece in enumerate(pieces) if piece.fixed is None]
        above_bits = [f"b{index}" for index in moving if not pieces[index].here]
        own, upward, all_ = self.noted()

        above = [*when[0], *(line for key in keys for line in key[0]), *clock[0]]
        above += [line for index in moving for line in pieces[index].above]
        above += gathered
        above.append(f"bits = {' | '.join([str(fixed), *above_bits])}")
        if block.clock is not None and clock[0]:
            above.append("us_ = None if clock_ is None else us_of(clock_, run)")
        if upward:
            above.append(f"ls = lists(run, {upward!r}, scope.parent)")

        here: list[str] = []
        if self.twin:
            above.append("twins = {}")
            here += [
                f"twin = ({', '.join(self.twin)},)",
                "one = twins.get(twin)",
                "if one is not None:",
                *indented(self.note(own, upward, all_)),
                "    continue",
            ]
        together = self.together(pieces)
        codes = {raw for index in together.get("narrow", ()) for raw in pieces[index].raws}
        words = self.with_codes(codes, when, keys) if codes else {}
        here.append("ys = ()")
        if "when" not in words:
            here += when[1]
            if block.when is not None:
                here.append("if when is None: continue")
        for kind in sorted(together):  # Codes first: they come with `when`.
            here += self.looked_up(pieces, kind, together[kind], words if kind == "narrow" else {})
            if kind == "narrow" and "when" in words:
                here.append("if when is None: continue")
        joined = {index for indexes in together.values() for index in indexes}
        for index in moving:
            if index not in joined:
                here += pieces[index].here
                if pieces[index].asking:
                    here.append(f"if y{index} is not None: ys = (*ys, y{index})")
        here_bits = [f"b{index}" for index in moving if pieces[index].here and index not in joined]
        here.append(
            f"mask = {' | '.join(['bits', *here_bits, *(f'b_{kind}' for kind in together)])}"
        )
        here += self.finished(pieces, parts)
        for index, key in enumerate(keys):
            here += [] if f"k{index}" in words else key[1]
            here.append(f"if k{index} is None: raise Bail")
        here += self.clocked(clock)
        here += self.made(own, upward, all_, len(keys))
        return self.framed(above, here, all_)

    def together(self, pieces: list[Piece]) -> dict[str, list[int]]:
        """The elements that are looked up with one key, by kind, where there are several."""
        found: dict[str, list[int]] = {}
        if self.block.each != "message" and self.ordered():
            for index, piece in enumerate(pieces):
                if piece.kind:
                    found.setdefault(piece.kind, []).append(index)
        return {kind: indexes for kind, indexes in found.items() if len(indexes) > 1}

    def with_codes(
        self,
        codes: set[str],
        when: tuple[list[str], list[str]],
        keys: list[tuple[list[str], list[str]]],
    ) -> dict[str, tuple[list[str], list[str]]]:
        """Which of `when` and the parts of the key can be kept with what is made of codes: their raw texts and lines."""
        rules = {f"k{index}": (rule, keys[index]) for index, rule in enumerate(self.block.key)}
        if self.block.when is not None:
            rules["when"] = (self.block.when, when)
        found: dict[str, tuple[list[str], list[str]]] = {}
        for name, (rule, (above, here)) in rules.items():
            slots = None if above or self.facts([rule]) else self.slots([rule])
            raws = [self.local(slot) for slot in slots or ()]
            if raws and (codes.issuperset(raws) or self.kind([rule])[0] == "narrow"):
                found[name] = raws, here
        return found

    def looked_up(
        self,
        pieces: list[Piece],
        kind: str,
        indexes: list[int],
        words: dict[str, tuple[list[str], list[str]]],
    ) -> list[str]:
        """Lines that look up elements of one kind, and words, under all the raw texts they are made of."""
        of_words = [raw for read, _ in words.values() for raw in read]
        raws = dict.fromkeys([raw for index in indexes for raw in pieces[index].raws] + of_words)
        known = self.memo_name()
        timed = [index for index in indexes if pieces[index].timed]
        latest = ["u"] if timed else []
        kept = [*(f"p{index}" for index in indexes), f"b_{kind}", "zs", *latest, *words]
        said = [f"y{index}" for index in indexes]
        asked = [line for _, lines in words.values() for line in lines]
        for index in indexes:
            asked += pieces[index].here
            asked += [f"u{index} = u"] if index in timed else []
        if latest:
            asked.append(f"u = max(({', '.join(f'u{index}' for index in timed)},))")
        return [
            f"j = ({', '.join(raws)},)",
            f"e = {known}.get(j)",
            "if e is None:",
            *indented(asked),
            f"    zs = tuple([y for y in ({', '.join(said)},) if y is not None])",
            f"    b_{kind} = {' | '.join(f'b{index}' for index in indexes)}",
            f"    keep({known}, j, ({', '.join(kept)}))",
            "else:",
            f"    {', '.join(kept)} = e",
            *(["    if u > limit: raise Bail"] if latest else []),
            "if zs: ys = (*ys, *zs)",
        ]

    def twins(self, pieces: list[Piece], words: list[str]) -> tuple[str, ...]:
        """The few locals that decide everything of a resource, when siblings may be the same: a specimen of each row.

        None when something is asked of the scope that no local holds.
        """
        found = [
            f"{name}_{number}"
            for (_, outside), (name, used) in self.records.items()
            if not outside
            for number in sorted(used)
        ]
        lines = [*words, *(line for piece in pieces for line in piece.here)]
        open_ = any("scope)" in line for line in lines)
        alone = self.block.each == "message" or open_ or not self.ordered()
        return () if alone or len(found) > _TWINS else tuple(found)

    def parts(self, pieces: list[Piece]) -> tuple[list[str], list[str]]:
        """The parts of a resource in order, neighbours that are the same for siblings gathered into one."""
        if not self.ordered():
            return [
                f"p{index}" if piece.fixed is None else repr(piece.fixed)
                for index, piece in enumerate(pieces)
            ], []
        parts: list[str] = []
        gathered: list[str] = []
        for still, group in groupby(enumerate(pieces), lambda one: not one[1].here):
            found = list(group)
            if not still:
                parts += [f"p{index}" for index, _ in found]
                continue
            members = [
                f"p{index}" if piece.fixed is None else repr(piece.fixed)
                for index, piece in found
                if piece.fixed != b""
            ]
            if len(members) == 1:
                parts += members
            elif members:
                name = f"c{len(gathered)}"
                gathered.append(f"{name} = join(filter(None, ({', '.join(members)})))")
                parts.append(name)
        return parts, gathered

    def finished(self, pieces: list[Piece], parts: list[str]) -> list[str]:
        """Lines that make `tail`, and `issues` and `told` of what functions said."""
        names: dict[str, int] = {}
        for index, piece in enumerate(pieces):
            for element in piece.elements:
                named = f"p{index}"
                names[element] = parts.index(named) if piece.here and named in parts else -1
        finish = self.bind(Finish(self.block, self.fields, self.asks, names))
        listed = "".join(f"{part}, " for part in parts)
        lines = ["issues = told = None"]
        if self.ordered():
            own = names.get("extension", -1)
            adding: list[str] = []
            if own >= 0:
                mark = parts[own]
                adding = [
                    f"if ys and {mark} and ys[0].marks and len(ys) == 1 and 'extension' not in asks:",
                    f"    {mark} = {mark}[:-1] + ys[0].marks",
                    "    ys = ()",
                ]
                self.names["asks"] = self.asks
            return [
                *lines,
                *adding,
                "if ys:",
                f"    parts = [{listed}]",
                f"    issues, told = {finish}.settle(scope, ys, parts)",
                "    tail = join(filter(None, parts)) + b'}'",
                "else:",
                f"    tail = join(filter(None, ({listed}))) + b'}}'",
                "if tail == b'}': raise Bail",
            ]
        firsts = "".join(f"{piece.first}, " for piece in pieces)
        return [
            *lines,
            f"parts = [{listed}]",
            f"if ys: issues, told = {finish}.settle(scope, ys, parts)",
            f"tail = join(filter(None, in_order(parts, ({firsts})))) + b'}}'",
            "if tail == b'}': raise Bail",
        ]

    def clocked(self, clock: tuple[list[str], list[str]]) -> list[str]:
        if self.block.clock is None:
            return ["us = run.sent_us"]
        if not clock[0] and self.block.each != "message" and not self.facts([self.block.clock]):
            raws = [self.local(slot) for slot in self.slots([self.block.clock]) or ()]
            known = self.memo_name()
            return [
                f"k = ({', '.join(raws)},)",
                f"us = {known}.get(k)",
                "if us is None:",
                *indented([*clock[1], "us = us_of(clock, run)", f"keep({known}, k, us)"]),
            ]
        if not clock[0]:
            return [*clock[1], "us = us_of(clock, run)"]
        return [
            "us = us_",
            "if us is None:",
            *indented([*clock[1], "us = us_of(clock, run)"]),
        ]

    def noted(self) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
        """Under which names a resource is noted in its own scope and in those above, and whether among all."""
        block = self.block
        names = dict.fromkeys((block.name, block.type))
        below = {name for name, _ in self.wanted.below}
        upward = tuple(name for name in names if name in self.wanted.upwards or name in below)
        own = tuple(
            name
            for name in names
            if name in self.wanted.upwards or (name, block.each) in self.wanted.below
        )
        return own, upward, "" in below

    def made(
        self, own: tuple[str, ...], upward: tuple[str, ...], all_: bool, keys: int
    ) -> list[str]:
        """Lines that give the resource its id, note it, and hand it over."""
        block = self.block
        opening = b'{"reference":"%s/' % block.type.encode()
        one = f"one = Made(id_, False, {opening!r} + name + b'\"}}')"
        note = [one, *self.note(own, upward, all_)]
        if self.twin:
            note.append("if not (issues or told): twins[twin] = one")
        head = b'{"resourceType":"%s","id":"' % block.type.encode()
        key = "".join(f"k{index}, " for index in range(keys))
        return [
            f"key = ({key})",
            f"id_ = ids({block.space!r}, {block.type!r}, key)",
            "name = id_.encode()",
            "if id_ in taken:",
            "    if taken[id_] != tail: raise Bail",
            "    if issues: run.issues.extend(issues)",
            "    if told: run.unmapped.extend(told)",
            *indented(note),
            "    continue",
            # Whatever may raise comes before the first trace: what falls back must find none.
            f"mapped = Mapped({block.type!r}, id_, key, {head!r} + name + b'\",', tail, b'', "
            f"us, {block.mode!r}, (), scope.where(), (), {tuple(block.unions)!r}, {block.name!r}, "
            f"mask, {tuple(block.fills)!r})",
            "if issues: run.issues.extend(issues)",
            "if told: run.unmapped.extend(told)",
            "taken[id_] = tail",
            *note,
            "add(mapped)",
        ]

    def note(self, own: tuple[str, ...], upward: tuple[str, ...], all_: bool) -> list[str]:
        """Lines that note `one` for the references that come later."""
        whole = [f"={name}" for name in own] if self.block.each == "message" else []
        noted = (*own, *whole)
        lines = [f"built.setdefault(({name!r}, id(scope)), []).append(one)" for name in noted]
        if upward:
            lines.append("for l in ls: l.append(one)")
        if all_:
            lines.append("everything.append(one)")
        return lines

    def framed(self, above: list[str], here: list[str], all_: bool) -> list[str]:
        outer = [lines for (_, outside), lines in self.loading() if outside]
        inner = [lines for (_, outside), lines in self.loading() if not outside]
        memos = "".join(f"m{index}, " for index in range(self.memos))
        return [
            "def build(run, scopes, add):",
            *([f"    {memos}= run.memos[{self.number}]"] if memos else []),
            "    w = run.form; limit = run.limit; taken = run.taken; ids = run.ids",
            "    facts = run.facts; built = run.built",
            *(["    everything = built.setdefault(('', 0), [])"] if all_ else []),
            "    last = run",
            "    for scope in scopes:",
            "        try:",
            "            if scope.parent is not last or last is None:",
            "                last = run",
            *indented([line for lines in outer for line in lines], 4),
            *indented(above, 4),
            "                last = scope.parent",
            *indented([line for lines in inner for line in lines], 3),
            *indented(here, 3),
            "        except FALLBACK:",
            f"            made = by_hand({self.bind(self.block)}, scope, run)",
            "            if made is not None: add(made)",
        ]
