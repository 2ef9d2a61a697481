"""Assertions, exceptions, questions about tensors and where they live."""

import torch

from graph_programs import program


@program("4x8")
def asserts(x):
    b, d = x.shape
    assert x.shape[0] == 4, f"expected 4 rows, got {x.shape[0]}"
    assert x.ndim == 2 and d % 4 == 0
    assert isinstance(x, torch.Tensor) and x.dtype in (torch.float32, torch.float16)
    assert x.device.type == "cpu"
    torch._assert(x.shape[1] == 8, "width")
    return x * 2


@program("4x8+")
def asserts_on_values(x):
    assert (x > 0).all(), "must be positive"
    return x.log()


@program("4x8+")
def asserts_torch(x):
    torch._assert((x > 0).all(), "must be positive")
    return x.log()


@program("4x8+")
def asserts_async(x):
    torch._assert_async((x > 0).all())
    return x.log()


@program("4x8")
def raises_for_shape(x):
    if x.dim() != 3:
        raise ValueError(f"expected 3 dimensions, got {x.dim()} (shape {tuple(x.shape)})")
    return x


@program("4x8")
def tries_and_falls_back(x):
    try:
        y = x.view(3, -1)
    except RuntimeError:
        y = x.reshape(8, 4)
    try:
        z = {"a": 1}["b"]
    except KeyError as e:
        z = len(e.args)
    finally:
        y = y + 1
    return y, z


@program("4x8")
def checks_of_type(x):
    return (
        torch.is_tensor(x),
        isinstance(x, torch.Tensor),
        torch.is_floating_point(x),
        x.is_floating_point(),
        x.dtype.is_floating_point,
        x.is_cuda,
        x.device,
        str(x.device),
        x.device == torch.device("cpu"),
        x.requires_grad,
        x.is_leaf,
        torch.is_grad_enabled(),
        torch.finfo(x.dtype).eps,
        torch.finfo(torch.float16).max,
        torch.iinfo(torch.int64).max,
        x.dtype.itemsize,
        x.element_size(),
        x.layout == torch.strided,
        x.is_sparse,
        x.is_contiguous(),
        x.data_ptr() == x.data_ptr(),
        x.grad is None,
        x * 1,
        hasattr(x, "shape"),
        type(x) is torch.Tensor,
        torch.get_default_dtype(),
        x.type() == "torch.FloatTensor",
    )[-10:]


@program("4x8")
def moves_between_devices(x):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    y = torch.zeros(4, 8, device=device)
    z = torch.ones(4, device=x.device, dtype=x.dtype)
    return x.to(device) + y.cpu() + z.to(x)[:, None], x.to("cpu", torch.float64, non_blocking=True), x.to(y)


@program("4x8")
def recursive_to(x):
    def to(obj, dtype):
        if torch.is_tensor(obj):
            return obj.to(dtype)
        if isinstance(obj, dict):
            return {k: to(v, dtype) for k, v in obj.items()}
        if isinstance(obj, (list, tuple)):
            return type(obj)(to(v, dtype) for v in obj)
        return obj

    return to({"a": x, "b": [x, (x, 1)], "c": None}, torch.float64)
