"""`Codec`: what every codec can do, and what the callers of codecs rely on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from edgepose._checks import Array
from edgepose.artifacts.tables import keys_of, read_as
from edgepose.errors import SpecError, nearest

if TYPE_CHECKING:
    from typing_extensions import Self

    from edgepose.artifacts.spec import InputSpec, ModelSpec
    from edgepose.kernels.cuda import DeviceArray, Launch
    from edgepose.pose.geometry import Size
    from edgepose.pose.skeletons import Skeleton

# The length of an axis: a name (equal names have equal lengths), or the lengths that are possible.
Axis = str | tuple[int, ...]


class People(NamedTuple):
    """The people of one image, the highest score first."""

    xy_image: Array  # [P, K, 2] float32, image pixels; (0, 0) for a joint that was not found
    scores: Array  # [P, K] float32; 0 for a joint that was not found
    boxes_xyxy: Array  # [P, 4] float32, around the joints that were found
    box_scores: Array  # [P] float32


@dataclass(frozen=True, kw_only=True)
class Codec(ABC):
    """How the outputs of a network become joints. The fields of a subclass are the parameters in the contract."""

    name: ClassVar[str]  # the `type` in the contract
    decodes: ClassVar[tuple[str, ...]]  # what the contract's first outputs are, in words, in this order
    output_names: ClassVar[tuple[str, ...]]  # what the outputs of our own networks are called
    finds_people: ClassVar[bool] = False  # whether it takes a whole image and finds everyone in it
    lists_people: ClassVar[bool] = False  # whether its output is a list, of which the order says nothing
    needs_limbs: ClassVar[bool] = False  # whether the network has outputs for the limbs of its skeleton

    @classmethod
    def read(cls, table: dict[str, Any], where: str) -> Self:
        """Read the parameters from a contract.

        Args:
            table: The `codec` table of the contract, without its `type`.
            where: The source that errors name.

        Returns:
            The codec. Values that depend on the rest of the contract are checked by `check`.

        Raises:
            SpecError: If a parameter is unknown or has a wrong type or value.
        """
        known = keys_of(cls)
        for key in table:
            if key not in known:
                raise SpecError(f"{where}: unknown key codec.{key} for codec {cls.name!r}{nearest(str(key), known)}")
        return read_as(cls, table, where, "codec")

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as JSON values, without those that are None."""
        import msgspec

        # A conversion there and back makes 1 and 1.0 one number, so that equal contracts have one hash.
        values = asdict(msgspec.convert(asdict(self), type(self)))
        return {key: values[name] for key, name in keys_of(self).items() if values[name] is not None}

    def check(self, skeleton: Skeleton, input: InputSpec, outputs: Sequence[str], where: str) -> None:
        """Check the parameters against the rest of the contract.

        Args:
            skeleton: The joints of the contract.
            input: The input of the contract.
            outputs: The names of the outputs in the contract.
            where: The source that errors name.

        Raises:
            SpecError: If they do not fit together.
        """
        if not len(skeleton) and not self.finds_people:
            raise SpecError(f"{where}: skeleton {skeleton.name!r} has no joints, which only a person detector may have")
        if len(outputs) < len(self.decodes):
            raise SpecError(
                f"{where}: outputs = {list(outputs)}; codec {self.name!r} decodes {len(self.decodes)}: "
                f"name the {' and the '.join(self.decodes)}, in this order"
            )

    @abstractmethod
    def shapes(self, skeleton: Skeleton, input: InputSpec) -> tuple[tuple[Axis, ...], ...]:
        """Return the shapes of the decoded outputs for one image, in the order of `decodes`.

        Args:
            skeleton: The joints of the contract.
            input: The input of the contract.

        Returns:
            The axes of each output, without the batch axis.
        """

    @abstractmethod
    def decode(
        self, outputs: Sequence[Array], flipped: Sequence[Array] | None, inverse: Array, contract: ModelSpec
    ) -> Array | People:
        """Turn outputs into joints in the image.

        Args:
            outputs: The decoded outputs, [N, ...] each, in the order of `decodes`.
            flipped: The outputs for the mirrored crops, which are averaged in; None without a flip test.
            inverse: [N, 2, 3] float64, network input -> image.
            contract: The contract whose codec this is.

        Returns:
            Joints [N, K, 3] float32 (x and y in image pixels, score). A codec that finds people returns the
            `People` of one image, N = 1.

        Raises:
            ModelError: If the outputs hold NaN or infinity where a joint was to be found.
        """

    @abstractmethod
    def merge_flip(self, outputs: Sequence[Array], flipped: Sequence[Array], contract: ModelSpec) -> tuple[Array, ...]:
        """Average the outputs with those for the mirrored crops (x -> W - 1 - x), mirrored back.

        A codec whose outputs are lists of people joins the lists.

        Args:
            outputs: The decoded outputs, [N, ...] each.
            flipped: The outputs for the mirrored crops.
            contract: The contract whose codec this is.

        Returns:
            The mean of both, float32, in the order of `decodes`.
        """

    def for_evaluation(self) -> Self:
        """Return the codec that accuracy is measured with.

        Average precision ranks people by their score and takes those of a low one too, which a user does not want to
        see. A codec that finds people returns itself with a lower threshold.
        """
        return self

    def for_comparison(self) -> tuple[Self, float]:
        """Return the codec for a comparison of two networks that find people, and the score that counts.

        A person whose score is near the threshold is found by one of two networks that are nearly equal, and not by
        the other. So both are run with a lower threshold, and a person above the returned score is looked for among
        all people of the other network.
        """
        return self, 0.0

    def check_network(self, outputs: Sequence[Array], contract: ModelSpec, where: str) -> None:
        """Check what a network trained elsewhere returns for one image.

        Args:
            outputs: The outputs of the contract, [1, ...] each.
            contract: The contract whose codec this is.
            where: The network that errors name.

        Raises:
            SpecError: If an output does not fit the contract.
            ModelError: If the network is not of the codec's kind at all.
        """
        from edgepose.codecs.mistaken import mistaken
        from edgepose.codecs.outputs import outputs_of

        try:
            outputs_of(contract, dict(zip(contract.outputs, outputs, strict=True)), 1)
        except SpecError as error:
            for name, output in zip(contract.outputs, outputs, strict=True):
                if form := mistaken(output.shape, contract):
                    raise SpecError(f"{where}: its output {name!r} of shape {list(output.shape)} {form}") from error
            raise

    def check_flip(self, skeleton: Skeleton) -> None:
        """Check that the outputs for mirrored crops can be merged with a skeleton.

        Args:
            skeleton: The joints of the contract.

        Raises:
            SpecError: If they cannot.
        """
        return None

    def device_problem(self, flip_test: bool) -> str | None:
        """Say why outputs cannot be decoded on the device.

        Args:
            flip_test: Whether the outputs for mirrored crops are averaged in.

        Returns:
            The reason, as a clause; None where the device can decode.
        """
        return f"codec {self.name!r} is decoded on the CPU"

    def device_affines(self, inverse: Array, map_size: Size, contract: ModelSpec) -> Array:
        """Return [N, 2, 3] float64 matrices that `device_decoder` takes: what the outputs count in -> image.

        Args:
            inverse: [N, 2, 3] float64, network input -> image.
            map_size: The last two axes of the first output.
            contract: The contract whose codec this is.
        """
        raise NotImplementedError(self.device_problem(False))

    def device_decoder(
        self,
        outputs: Sequence[DeviceArray],
        flipped: tuple[Sequence[DeviceArray], DeviceArray] | None,
        affines: DeviceArray,
        joints: DeviceArray,
    ) -> Launch:
        """Return the kernel launch that decodes on the device; `device_problem` says whether there is one.

        Args:
            outputs: The decoded outputs, [N, ...] each.
            flipped: The outputs for the mirrored crops and `Skeleton.flip_order()` as [K] int32, or None.
            affines: [N, 2, 3] float64, from `device_affines`.
            joints: [N, *device_shape] float32, which the launch writes: x and y in image pixels, score.
        """
        raise NotImplementedError(self.device_problem(False))

    def device_shape(self, skeleton: Skeleton) -> tuple[int, ...]:
        """Return the shape of what the launch of `device_decoder` writes for one image, [K, 3] for most codecs.

        Args:
            skeleton: The joints of the contract.
        """
        return (len(skeleton), 3)

    def from_device(self, found: Array) -> Array | People:
        """Turn what the launch of `device_decoder` wrote into what `decode` returns.

        Args:
            found: [N, *device_shape] float32, finite.
        """
        return found
