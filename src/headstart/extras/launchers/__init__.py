"""Where the jobs of a sweep run: on this machine's cores or GPUs, on SLURM; the choices of `hydra/launcher`."""
