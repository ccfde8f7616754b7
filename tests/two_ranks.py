"""Training commands as two ranks on this machine's processor, by torchrun: one start for all of them."""

import json
import os
import socket
import subprocess
import sys

import click

from jobs.training.commands import cli


def run_on_two_ranks(*commands: list[object]) -> str:
    """Runs the commands one after the other, each on both ranks; gives what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", str(port)]
    told = json.dumps([[str(word) for word in command] for command in commands])
    command = [sys.executable, "-m", "torch.distributed.run", *place, "-m", "tests.two_ranks", told]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


if __name__ == "__main__":
    for each in json.loads(sys.argv[1]):
        try:
            cli.main(each, standalone_mode=False)
        except click.ClickException as error:
            sys.exit(f"refused: {error.message}")
