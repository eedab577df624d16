"""The compiled kernel under the contract of all kernels."""

import pytest

from kist.testing import KernelContract, RegistrationContract


class TestAccel(KernelContract):
    @pytest.fixture
    def kernel(self, native):
        from kist_accel.kernel import AccelKernel

        return AccelKernel()


class TestRegistration(RegistrationContract):
    group = "kernels"
    key = "accel"
    module = "kist_accel"

    @pytest.fixture(autouse=True)
    def compiled(self, native):
        """Making the kernel needs the compiled part."""
