#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds what belongs into the virtual machine, or into a container in it, and puts it below TARGET
where `meson install` would. What this source tree does not have is left out, and said.

    vm/guest-files.py vm|container BUILD TARGET
"""
import fnmatch
import json
import os
import shutil
import subprocess
import sys

FILES = {
    "vm": [
        "*/sbin/helix-drm-manager",
        "*/sbin/helix-input-manager",
        "*/bin/helix-input",
        "*/bin/helix-lease",
        "*/bin/drm-flipper",
        "*/libexec/helix-scanout/helix-cdi",
        "*/libexec/helix-scanout/helix-desktop",
        "*/systemd/system/helix-drm-manager.service",
        "*/systemd/system/helix-input-manager.service",
        "*/systemd/system/helix-cdi.service",
        "*/systemd/system/helix-desktop@.service",
        "*/systemd/system-generators/helix-desktops-generator",
    ],
    "container": [
        "*/bin/mutter-lease-launcher",
        "*/bin/logind-stub",
        "*/bin/desktop-bridge",
        "*/bin/helix-input",
        "*/bin/helix-lease",
        "*/bin/drm-flipper",
        "*/share/helix-scanout/web*",
    ],
}


def introspect(build, what):
    return json.loads(subprocess.check_output(["meson", "introspect", what, build]))


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in FILES:
        print("usage: guest-files.py vm|container BUILD TARGET", file=sys.stderr)
        return 2
    patterns, build, target = FILES[sys.argv[1]], os.path.realpath(sys.argv[2]), sys.argv[3]
    # What is installed may have changed since Meson last looked.
    subprocess.run(["ninja", "-C", build, "build.ninja"], check=True)
    wanted = {}  # where it is installed: where it is now
    for source, place in introspect(build, "--installed").items():
        if any(fnmatch.fnmatch(place, pattern) for pattern in patterns):
            wanted[place] = source
    for pattern in patterns:
        if not fnmatch.filter(wanted, pattern):
            print("guest-files: there is no %s" % pattern[2:], file=sys.stderr)

    programs = {f for t in introspect(build, "--targets") for f in t["filename"]}
    made = [os.path.relpath(f, build) for f in wanted.values() if f in programs]
    subprocess.run(["ninja", "-C", build] + sorted(made), check=True)
    for place, source in wanted.items():
        copy = os.path.join(target, place.lstrip("/"))
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, copy)
        else:
            executable = source in programs or "/libexec/" in place or "-generators/" in place
            shutil.copyfile(source, copy)
            os.chmod(copy, 0o755 if executable else 0o644)
    return 0


if __name__ == "__main__":
    sys.exit(main())
