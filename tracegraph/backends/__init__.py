"""What programs ask and set of the libraries that PyTorch computes with (`torch.backends`).

None of them is here. Questions get that answer; what is set is kept, and changes nothing.
"""

from tracegraph.backends import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
