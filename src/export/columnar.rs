//! Parquet and Arrow.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::ExportError;
use super::frame::{Column, Frame, Values};
use crate::clock::day_of;

/// An Arrow IPC file, uncompressed, so that it can be mapped into memory.
pub(super) fn arrow(frame: &Frame) -> Result<Vec<u8>, ExportError> {
    let batch = batch(frame)?;
    let failed = |_| ExportError::Form("Arrow file");
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).map_err(failed)?;
    writer.write(&batch).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

/// A Parquet file, compressed with zstd.
pub(super) fn parquet(frame: &Frame) -> Result<Vec<u8>, ExportError> {
    let batch = batch(frame)?;
    let failed = |_| ExportError::Form("Parquet file");
    let level = ZstdLevel::try_new(3).map_err(failed)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).map_err(failed)?;
    writer.write(&batch).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

fn batch(frame: &Frame) -> Result<RecordBatch, ExportError> {
    let fields: Vec<Field> = frame.columns.iter().map(field).collect();
    let arrays: Vec<ArrayRef> = frame.columns.iter().map(|column| array(&column.values)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|_| ExportError::Form("table"))
}

fn field(column: &Column) -> Field {
    let kind = match column.values {
        Values::Dates(_) => DataType::Date32,
        Values::Texts(_) => DataType::Utf8,
        Values::Integers(_) => DataType::Int64,
        Values::Numbers(_) => DataType::Float64,
    };
    let about = HashMap::from([("description".to_owned(), column.about.clone())]);
    Field::new(&column.name, kind, true).with_metadata(about)
}

fn array(values: &Values) -> ArrayRef {
    match values {
        Values::Dates(dates) => {
            Arc::new(Date32Array::from_iter_values(dates.iter().map(|date| i32::from(day_of(*date).0))))
        }
        Values::Texts(texts) => Arc::new(StringArray::from_iter(texts.iter().map(Option::as_deref))),
        Values::Integers(numbers) => Arc::new(Int64Array::from_iter(numbers.iter().copied())),
        Values::Numbers(numbers) => Arc::new(Float64Array::from_iter(numbers.iter().copied())),
    }
}
