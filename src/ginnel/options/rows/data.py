"""Rows of the options about the data channel: ciphers, replay, compression.

Facts and help only; what an option does is in the ``apply_*`` modules.
"""

from ginnel.options.arguments import choice, file, number, optional, repeated, seconds, word
from ginnel.options.table import OptionRow, OptionSide, PushClass, Repeat, Support

ROWS: tuple[OptionRow, ...] = (
    OptionRow(
        name="cipher",
        args=(word("name"),),
        push=PushClass.NCP,
        repeat=Repeat.LAST,
        default="none since 2.6 (BF-CBC in 2.4/2.5)",
        ccd=True,
        help="Data cipher of old peers; negotiation uses data-ciphers.",
    ),
    OptionRow(
        name="data-ciphers",
        args=(word("list"),),
        repeat=Repeat.LAST,
        default="AES-256-GCM:AES-128-GCM[:CHACHA20-POLY1305]",
        ccd=True,
        help="Data ciphers to accept, best first; a leading ? marks one that may be missing.",
    ),
    OptionRow(
        name="data-ciphers-fallback",
        args=(word("cipher"),),
        repeat=Repeat.LAST,
        ccd=True,
        help="Cipher for a server that does not negotiate.",
    ),
    OptionRow(
        name="ncp-ciphers",
        args=(word("list"),),
        repeat=Repeat.LAST,
        default="see data-ciphers",
        ccd=True,
        help="Older name of data-ciphers.",
    ),
    OptionRow(
        name="ncp-disable",
        help="Uses cipher alone, without negotiation, as OpenVPN up to 2.5 could.",
    ),
    OptionRow(
        name="auth",
        args=(word("digest"),),
        repeat=Repeat.LAST,
        default="SHA1",
        help="Digest of tls-auth, and of data packets with old ciphers.",
    ),
    OptionRow(
        name="replay-window",
        args=(
            optional(number("size", 0, 65536)),
            optional(seconds("time", 0, 600)),
        ),
        repeat=Repeat.LAST,
        default="64 15",
        help="How late a packet may come and still be taken.",
    ),
    OptionRow(
        name="mute-replay-warnings",
        field="data.mute_replay_warnings",
        help="Does not log replayed packets.",
    ),
    OptionRow(
        name="replay-persist",
        args=(file(),),
        repeat=Repeat.LAST,
        tier="C",
        support=Support.NO_EFFECT,
        why=(
            "every session has keys of its own, and replay of tls-auth packets is told by their "
            "time"
        ),
        help="Keeps replay numbers over a restart.",
    ),
    OptionRow(
        name="keysize",
        args=(number("bits"),),
        repeat=Repeat.LAST,
        default="cipher default",
        help="Key size in bits of BF-CBC or CAST5-CBC, as OpenVPN up to 2.5 could.",
    ),
    OptionRow(
        name="secret",
        args=(
            file(),
            optional(choice("0", "1")),
        ),
        side=OptionSide.P2P,
        repeat=Repeat.LAST,
        inline=True,
        help="Static key for a tunnel between two peers, without TLS and without forward secrecy.",
    ),
    OptionRow(
        name="allow-deprecated-insecure-static-crypto",
        tier="B",
        help="Says that a tunnel with a static key is meant; only a warning is left out here.",
    ),
    OptionRow(
        name="peer-id",
        args=(number("number", 0, 16777215),),
        side=OptionSide.CLIENT,
        push=PushClass.PEER_ID,
        repeat=Repeat.LAST,
        default="-1 unset",
        field="data.peer_id",
        pushed_only=True,
        help="Number that marks this client's data packets.",
    ),
    OptionRow(
        name="key-derivation",
        args=(choice("tls-ekm"),),
        side=OptionSide.CLIENT,
        push=PushClass.NCP,
        repeat=Repeat.LAST,
        default="legacy PRF",
        pushed_only=True,
        help="How data keys are made.",
    ),
    OptionRow(
        name="protocol-flags",
        args=(optional(repeated(word("flag"))),),
        side=OptionSide.CLIENT,
        push=PushClass.NCP,
        repeat=Repeat.ACCUMULATE,
        pushed_only=True,
        help="Protocol features that both ends have.",
    ),
    OptionRow(
        name="push-continuation",
        args=(choice("1", "2"),),
        side=OptionSide.CLIENT,
        push=PushClass.PULL_MODE,
        repeat=Repeat.LAST,
        pushed_only=True,
        help="Says whether more pushed options follow.",
    ),
    OptionRow(
        name="engine",
        args=(optional(word("name")),),
        repeat=Repeat.LAST,
        default="off; no arg = auto",
        tier="C",
        support=Support.REFUSED,
        why=(
            "the TLS library loads no engines, which OpenSSL is giving up; a key in hardware is "
            "reached by --pkcs11-providers"
        ),
        help="OpenSSL engine.",
    ),
    OptionRow(
        name="providers",
        args=(repeated(word("name")),),
        push=PushClass.UNCHECKED,
        repeat=Repeat.LAST,
        default="default",
        tier="B",
        in_connection=True,
        help="OpenSSL providers to load: default and legacy, which are always there.",
    ),
    OptionRow(
        name="prng",
        args=(
            word("digest"),
            optional(number("bytes")),
        ),
        push=PushClass.UNCHECKED,
        repeat=Repeat.LAST,
        tier="C",
        support=Support.NO_EFFECT,
        why="the system's generator is used",
        in_connection=True,
        help="Random number generator.",
    ),
    OptionRow(
        name="use-prediction-resistance",
        tier="C",
        support=Support.NO_EFFECT,
        why="the system's generator is used",
        help="Random number setting of the mbed TLS library.",
    ),
    OptionRow(
        name="allow-compression",
        args=(choice("no", "asym", "yes"),),
        repeat=Repeat.LAST,
        default="no, unless comp-lzo or compress asks for it",
        help="Whether compressed packets of the server are taken; nothing sent is ever compressed.",
    ),
    OptionRow(
        name="comp-lzo",
        args=(optional(choice("yes", "no", "adaptive")),),
        push=PushClass.COMP,
        repeat=Repeat.LAST,
        default="off; no arg = adaptive",
        ccd=True,
        help="LZO compression framing; the server may compress unless it says no.",
    ),
    OptionRow(
        name="compress",
        args=(optional(choice("stub", "stub-v2", "lzo", "lz4", "lz4-v2", "migrate")),),
        push=PushClass.COMP,
        repeat=Repeat.LAST,
        default="off; no arg = stub",
        ccd=True,
        help="Compression framing; stub and stub-v2 are framing alone.",
    ),
    OptionRow(
        name="comp-noadapt",
        push=PushClass.UNCHECKED,
        tier="C",
        support=Support.NO_EFFECT,
        why="nothing is ever compressed",
        help="Switched adaptive compression off.",
    ),
)
