"""MLX at full speed on a Linux CPU.

The Linux wheel of MLX carries a reference BLAS and convolutions that are slow on a processor. This package makes both
fast and is the only one that knows of it: `hook` waits for MLX's import and keeps freed memory, `blas` points MLX at
OpenBLAS, and the other modules hold layers that give mlx.nn's results with fewer passes over memory. `d2f.layers` is
its public face.

To delete it when upstream is as fast: let `d2f.layers` re-export mlx.nn's layers, and drop the call of
`hook.install` in `d2f/__init__.py`. See docs/explanation/mlx-on-a-cpu.md.
"""
