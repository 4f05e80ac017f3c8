"""The one place that knows which kinds of source stream, and how."""

from pipelines.data.picture_plan import PicturePlan
from pipelines.data.plans import Plan
from pipelines.data.table_plan import TablePlan
from pipelines.data.text_plan import TextPlan
from pipelines.spec.data import CsvSource, ImagesSource, ParquetSource, Streamable, TextSource


def plan_of(source: Streamable) -> Plan:
    """How the source streams; of its files no more is read than what tells their size. Raises DataError."""
    match source:
        case CsvSource() | ParquetSource():
            return TablePlan.of(source)
        case ImagesSource():
            return PicturePlan.of(source)
        case TextSource():
            return TextPlan.of(source)
