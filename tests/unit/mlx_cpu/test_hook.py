"""MLX is sped up whenever it is imported in a process that imports d2f, and `import d2f` does not import it."""

from __future__ import annotations

import sys

import pytest

from tests.unit.mlx_cpu.processes import printed, run_python

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only the Linux wheel of MLX is slow")

STATE = "import json; from d2f.mlx_cpu import blas; state = blas.in_force(); "
POINTED = STATE + "print(json.dumps('cblas_sgemm' in state.functions))"


def test_import_d2f_imports_no_array_library() -> None:
    loaded = printed("import d2f, json, sys; print(json.dumps(sorted(sys.modules)))")
    assert not {"mlx", "mlx.core", "numpy", "scipy", "scipy_openblas32"} & set(loaded)


@ON_LINUX
@pytest.mark.parametrize("imports", ["import d2f, mlx.core", "import mlx.core, d2f", "import d2f, mlx.nn"])
def test_mlx_is_sped_up_in_either_order(imports: str) -> None:
    assert printed(f"{imports}; {POINTED}") is True


@ON_LINUX
def test_nothing_is_left_behind() -> None:
    code = (
        "import d2f, json, mlx.core, sys; from d2f.mlx_cpu.hook import AfterImport; "
        "waiting = [type(f).__name__ for f in sys.meta_path if isinstance(f, AfterImport)]; "
        "print(json.dumps([waiting, 'exec_module' in vars(mlx.core.__spec__.loader)]))"
    )
    assert printed(code) == [[], False]


def test_asking_where_mlx_is_does_not_use_the_hook_up() -> None:
    code = f"import d2f, importlib.util; importlib.util.find_spec('mlx.core'); import mlx.core; {STATE}"
    assert printed(code + "print(json.dumps(state is not None))") is True


def test_an_mlx_that_fails_to_import_fails_as_it_would_alone(tmp_path: object) -> None:
    code = (
        "import d2f, pathlib, sys; root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.'); "
        f"root = pathlib.Path({str(tmp_path)!r}); (root / 'mlx').mkdir(); "
        "(root / 'mlx' / '__init__.py').write_text(''); "
        "(root / 'mlx' / 'core.py').write_text('raise ImportError(\"libmlx.so: no such file\")'); "
        "sys.path.insert(0, str(root)); import mlx.core"
    )
    done = run_python(code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ImportError: libmlx.so: no such file"


@ON_LINUX
def test_a_child_forked_after_the_import_can_use_mlx() -> None:
    code = (
        "import d2f, mlx.core as mx, os, json\n"
        "child = os.fork()\n"
        "if child == 0: mx.eval(mx.ones(3) + 1); os._exit(7)\n"
        "print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))"
    )
    assert printed(code) == 7


@ON_LINUX
def test_the_allocator_is_set_in_processes_that_d2f_starts_only() -> None:
    state = "import json; from d2f.mlx_cpu.hook import allocator_in_force as now; print(json.dumps(now().keeps_memory))"
    claimed = f"from d2f.mlx_cpu.hook import claim_process; claim_process(); import d2f, mlx.core; {state}"
    late = f"import d2f, mlx.core; from d2f.mlx_cpu.hook import claim_process; claim_process(); {state}"
    assert printed(f"import d2f, mlx.core; {state}") is False
    assert printed(late) is True
    assert printed(claimed) is True
    assert printed(claimed, D2F_MALLOC="off") is False
