"""Rows of the options about hooks and their environment.

Facts and help only; what an option does is in the ``apply_*`` modules.
"""

from ginnel.options.arguments import choice, command, number, optional, repeated, word
from ginnel.options.table import OptionRow, OptionSide, PushClass, Repeat, Support

ROWS: tuple[OptionRow, ...] = (
    OptionRow(
        name="up",
        args=(command(),),
        repeat=Repeat.LAST,
        field="scripts.up",
        help="Runs after the tunnel device is open.",
    ),
    OptionRow(
        name="down",
        args=(command(),),
        repeat=Repeat.LAST,
        field="scripts.down",
        help="Runs after the tunnel device is closed.",
    ),
    OptionRow(
        name="route-up",
        args=(command(),),
        repeat=Repeat.LAST,
        field="scripts.route_up",
        help="Runs after routes are set.",
    ),
    OptionRow(
        name="route-pre-down",
        args=(command(),),
        repeat=Repeat.LAST,
        tier="B",
        field="scripts.route_pre_down",
        help="Runs before routes are removed.",
    ),
    OptionRow(
        name="ipchange",
        args=(command(),),
        repeat=Repeat.LAST,
        tier="B",
        field="scripts.ipchange",
        help="Runs when the server's address is known or changes.",
    ),
    OptionRow(
        name="tls-verify",
        args=(command(),),
        repeat=Repeat.LAST,
        field="tls.tls_verify",
        help="Runs for each certificate of the peer; a failure rejects it.",
    ),
    OptionRow(
        name="up-restart",
        field="scripts.up_restart",
        help="Runs up and down on restarts too.",
    ),
    OptionRow(
        name="up-delay",
        tier="B",
        field="scripts.up_delay",
        help="Opens the device only after connecting.",
    ),
    OptionRow(
        name="down-pre",
        tier="B",
        field="scripts.down_pre",
        help="Runs down before the device is closed.",
    ),
    OptionRow(
        name="script-security",
        args=(number("level", 0, 3),),
        repeat=Repeat.LAST,
        default="1",
        field="scripts.script_security",
        help="What may be run: 0 nothing, 1 system tools, 2 scripts, 3 scripts with passwords.",
    ),
    OptionRow(
        name="setenv",
        args=(
            word("name"),
            optional(word("value")),
        ),
        repeat=Repeat.ACCUMULATE,
        gaps="the switch `REMOTE_RANDOM_HOSTNAME`",
        help="Sets a variable for scripts.",
    ),
    OptionRow(
        name="setenv-safe",
        args=(
            word("name"),
            optional(word("value")),
        ),
        push=PushClass.SETENV,
        repeat=Repeat.ACCUMULATE,
        help="Sets the variable OPENVPN_name for scripts.",
    ),
    OptionRow(
        name="tmp-dir",
        args=(word("dir"),),
        repeat=Repeat.LAST,
        default="$TMPDIR else /tmp",
        field="scripts.tmp_dir",
        help="Directory for files shared with scripts.",
    ),
    OptionRow(
        name="plugin",
        args=(
            word("module"),
            optional(repeated(word("argument"))),
        ),
        repeat=Repeat.ACCUMULATE,
        tier="B",
        support=Support.REFUSED,
        why=(
            "native plugins are made for the inside of another program; the hook interface "
            "(--ginnel-authenticator, docs/guide/hooks.md) and the script options serve the same "
            "moments"
        ),
        help="Loads a native plugin.",
    ),
    OptionRow(
        name="auth-user-pass-verify",
        args=(
            command(),
            choice("via-env", "via-file"),
        ),
        side=OptionSide.SERVER,
        repeat=Repeat.LAST,
        help="Command that checks a client's password.",
    ),
    OptionRow(
        name="client-connect",
        args=(command(),),
        side=OptionSide.SERVER,
        repeat=Repeat.LAST,
        tier="B",
        field="access.client_connect",
        help="Runs when a client connects.",
    ),
    OptionRow(
        name="client-crresponse",
        args=(command(),),
        side=OptionSide.SERVER,
        repeat=Repeat.LAST,
        tier="B",
        field="access.client_crresponse",
        help="Runs when a client answers a challenge.",
    ),
    OptionRow(
        name="client-disconnect",
        args=(command(),),
        side=OptionSide.SERVER,
        repeat=Repeat.LAST,
        tier="B",
        field="access.client_disconnect",
        help="Runs when a client leaves.",
    ),
    OptionRow(
        name="learn-address",
        args=(command(),),
        side=OptionSide.SERVER,
        repeat=Repeat.LAST,
        field="access.learn_address",
        help="Runs when a client's address is learned.",
    ),
    OptionRow(
        name="tls-crypt-v2-verify",
        args=(command(),),
        side=OptionSide.SERVER,
        repeat=Repeat.LAST,
        tier="B",
        field="server.crypt_v2_verify",
        help="Command that checks a client key's metadata.",
    ),
)
