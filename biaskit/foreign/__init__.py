"""Models that were made elsewhere, opened so that an audit can look at them as at our own."""

from biaskit.foreign._open import ForeignModel, find_model, fit_model, open_model, preparation

__all__ = ["ForeignModel", "find_model", "fit_model", "open_model", "preparation"]
