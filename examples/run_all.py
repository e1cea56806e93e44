"""Starts the four example servers: `python examples/run_all.py [--ports NOTES LIBRARY CLOCK SHOP]`."""

import argparse
import sys

import clock
import library
import notes
import shop
from serving import run

EXAMPLES = {"notes": notes, "library": library, "clock": clock, "shop": shop}
PORTS = [8101, 8102, 8103, 8104]


def main() -> int:
    options = argparse.ArgumentParser(description="Start the example servers on loopback; Ctrl-C stops them.")
    options.add_argument("--ports", nargs=len(PORTS), type=int, default=PORTS, help="default: %(default)s; 0: free")
    ports = options.parse_args().ports
    return run({name: example.app() for name, example in EXAMPLES.items()}, dict(zip(EXAMPLES, ports, strict=True)))


if __name__ == "__main__":
    sys.exit(main())
