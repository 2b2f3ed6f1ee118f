"""The flat form in which a report is written as JSON: a record for each site and each weight."""

from dataclasses import dataclass, fields

from keras_initcheck.records.data import IndexInput, OutputStats, TabularInput
from keras_initcheck.records.first_step import FirstStep
from keras_initcheck.records.profile import Profile, Spectrum
from keras_initcheck.records.record import Record
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Histogram, Moments
from keras_initcheck.records.trial import Trial


@dataclass(frozen=True, eq=False)
class ProfileDocument(Record):
    """A profile as records: the arguments of `Profile.of`.

    Attributes:
        model: As in `Structure`; so are `not_probed`, `num_unmeasured`, `optimizer`,
            `is_loss_scaled`, `backend`, `dtype` and `versions`.
        sites: As in `Profile`; so is everything else.
    """

    model: str
    sites: tuple[SiteStats, ...]
    weights: tuple[WeightStats, ...] = ()
    not_probed: tuple[tuple[str, str], ...] = ()
    num_unmeasured: int = 0
    batch_size: int = 0
    loss: float | None = None
    inputs: tuple[tuple[str, Moments], ...] = ()
    log10_forward_gain: float | None = None
    log10_backward_gain: float | None = None
    optimizer: str | None = None
    is_loss_scaled: bool = False
    backend: str = ""
    dtype: str = "float32"
    source: str = ""
    is_synthetic: bool = False
    is_contradictory: bool = False
    step: int = 0
    seconds: float = 0.0
    seed: int = 0
    versions: tuple[tuple[str, str], ...] = ()
    histograms: tuple[tuple[str, Histogram], ...] = ()
    outputs: tuple[OutputStats, ...] = ()
    tabular_inputs: tuple[TabularInput, ...] = ()
    index_inputs: tuple[IndexInput, ...] = ()
    regularization: float | None = None
    spectrum: Spectrum | None = None
    first_step: FirstStep | None = None
    trial: Trial | None = None

    @classmethod
    def from_profile(cls, profile: Profile) -> "ProfileDocument":
        """The document of a profile."""
        return cls(**profile.as_records())

    def to_profile(self) -> Profile:
        """The profile that this is the document of."""
        return Profile.of(**{field.name: getattr(self, field.name) for field in fields(self)})
