"""The compiled kernel under the contract of all kernels."""

import pytest

from kist.testing import HasherContract, KernelContract, RegistrationContract
from kist.testing.kernel import Sha256


class TestAccel(KernelContract):
    @pytest.fixture
    def kernel(self, native):
        from kist_accel.kernel import AccelKernel

        return AccelKernel()

    @pytest.fixture
    def hashers(self, blake3):
        return [Sha256(), blake3]


class TestItsHasher(HasherContract):
    @pytest.fixture
    def hasher(self, kernel, blake3):
        return kernel.hasher(blake3)


class TestRegistration(RegistrationContract):
    group = "kernels"
    key = "accel"
    module = "kist_accel"

    @pytest.fixture(autouse=True)
    def compiled(self, native):
        """Making the kernel needs the compiled part."""
