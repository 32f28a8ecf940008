"""`python -m ray_asng`."""

from ray_asng.cli import main

main(prog_name="ray-asng")
