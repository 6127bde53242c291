//! What is in the files, read back by other readers than those that wrote them.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

use super::{FORMATS, sum, unpacked};
use crate::harness::TestApp;
use crate::http::stats::with_a_sealed_day;

type Row = BTreeMap<String, Value>;

fn rows_of_csv(bytes: &[u8]) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(bytes);
    let names = reader.headers().unwrap().clone();
    let value = |name: &str, text: &str| match name {
        _ if text.is_empty() => Value::Null,
        "value" => json!(text.parse::<i64>().unwrap()),
        "margin" | "lat" | "lon" => json!(text.parse::<f64>().unwrap()),
        _ => json!(text),
    };
    let row = |record: csv::StringRecord| {
        names.iter().zip(record.iter()).map(|(name, text)| (name.to_owned(), value(name, text))).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

fn rows_of_batches(batches: &[RecordBatch]) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in batches {
        for at in 0..batch.num_rows() {
            let value = |name: &str, column: &dyn Array| match name {
                _ if column.is_null(at) => Value::Null,
                "date" => {
                    let days = i64::from(column.as_primitive::<Date32Type>().value(at));
                    json!(jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(days)))
                }
                "value" => json!(column.as_primitive::<Int64Type>().value(at)),
                "margin" | "lat" | "lon" => json!(column.as_primitive::<Float64Type>().value(at)),
                _ => json!(column.as_string::<i32>().value(at)),
            };
            let schema = batch.schema();
            let columns = schema.fields().iter().zip(batch.columns());
            rows.push(columns.map(|(field, column)| (field.name().clone(), value(field.name(), column))).collect());
        }
    }
    rows
}

/// The rows that a release has in each format.
async fn read(app: &TestApp, release: &str, format: &str) -> Vec<Row> {
    let answer = app.export(&format!("/{release}?period=yesterday&format={format}")).await;
    assert_eq!(answer.status, 200, "{release} {format}: {}", answer.text);
    match format {
        "csv" => rows_of_csv(&answer.bytes),
        "json" => serde_json::from_slice(&answer.bytes).unwrap(),
        "geojson" => {
            let features = answer.json()["features"].as_array().unwrap().clone();
            features.iter().map(|feature| serde_json::from_value(feature["properties"].clone()).unwrap()).collect()
        }
        "parquet" => {
            let reader =
                ParquetRecordBatchReaderBuilder::try_new(Bytes::from(answer.bytes)).unwrap().build().unwrap();
            rows_of_batches(&reader.map(Result::unwrap).collect::<Vec<_>>())
        }
        _ => {
            let file = std::io::Cursor::new(answer.bytes);
            let reader = arrow_ipc::reader::FileReader::try_new(file, None).unwrap();
            rows_of_batches(&reader.map(Result::unwrap).collect::<Vec<_>>())
        }
    }
}

#[actix_web::test]
async fn every_format_holds_what_the_store_has_in_its_order() {
    let app = with_a_sealed_day().await;
    for release in ["places_4", "active_devices", "region", "event_totals"] {
        let stored = app.rows(&format!(
            "SELECT breakdown, dims, value, margin FROM releases WHERE release = '{release}' ORDER BY day, breakdown, dims"
        ));
        assert!(!stored.is_empty(), "{release}");
        let csv = read(&app, release, "csv").await;
        assert_eq!(csv.len(), stored.len());
        for (row, stored) in csv.iter().zip(&stored) {
            assert_eq!((&row["date"], &row["value"]), (&json!("2026-10-05"), &stored["value"]));
            assert!((row["margin"].as_f64().unwrap() - stored["margin"].as_f64().unwrap()).abs() <= 0.000_051);
            let breakdown = stored["breakdown"].as_str().unwrap();
            assert_eq!(row["breakdown"], if breakdown.is_empty() { "total" } else { breakdown });
            for (at, dim) in breakdown.split(',').filter(|dim| !dim.is_empty()).enumerate() {
                assert_eq!(row[dim], stored["dims"][at]);
            }
        }
        for format in FORMATS.into_iter().filter(|format| *format != "geojson" || release == "places_4") {
            assert_eq!(read(&app, release, format).await, csv, "{release} {format}");
        }
    }
}

#[actix_web::test]
async fn cells_come_with_their_middle_and_their_outline() {
    let app = with_a_sealed_day().await;
    let answer = app.export("/places_4?period=yesterday&format=geojson").await.json();
    for feature in answer["features"].as_array().unwrap() {
        let ring = &feature["geometry"]["coordinates"][0];
        let of = |corner: usize, axis: usize| ring[corner][axis].as_f64().unwrap();
        assert_eq!((ring.as_array().unwrap().len(), &ring[0]), (5, &ring[4]));
        let (lon, lat) =
            (feature["properties"]["lon"].as_f64().unwrap(), feature["properties"]["lat"].as_f64().unwrap());
        assert!(((of(0, 0) + of(2, 0)) / 2.0 - lon).abs() < 1e-3 && ((of(0, 1) + of(2, 1)) / 2.0 - lat).abs() < 1e-3);
    }
}

#[actix_web::test]
async fn a_package_describes_itself() {
    let app = with_a_sealed_day().await;
    for format in FORMATS {
        let files = unpacked(&app.export(&format!("?period=2026-10-04..2026-10-05&format={format}")).await.bytes);
        let sums = String::from_utf8_lossy(&files["SHA256SUMS"]).into_owned();
        let listed: BTreeMap<&str, &str> =
            sums.lines().map(|line| line.split_once("  ").unwrap()).map(|(a, b)| (b, a)).collect();
        assert_eq!(listed.len(), files.len() - 1, "all but the sums themselves");
        for (name, expected) in listed {
            assert_eq!(sum(&files[name]), expected, "{format} {name}");
        }
        let package: Value = serde_json::from_slice(&files["datapackage.json"]).unwrap();
        assert_eq!(package["basis"]["clause"], "4.2.3");
        assert_eq!((&package["app"], &package["zone"]), (&json!("kz.test.app"), &json!("Asia/Almaty")));
        assert_eq!((&package["sealed_days"], &package["missing_days"]), (&json!(1), &json!(["2026-10-04"])));
        let resources = package["resources"].as_array().unwrap();
        assert_eq!(resources.len(), files.len() - 2);
        let places = resources.iter().find(|resource| resource["name"] == "places_4").unwrap();
        assert_eq!(
            places["sealed"],
            json!([{
                "from": "2026-10-05", "to": "2026-10-05", "bound": 1, "epsilon": 0.25, "scale": 4.0, "threshold": 50,
                "mechanism": "discrete_laplace",
            }])
        );
        assert_eq!(places["counts"], "devices");
        assert!(places["suppressed"][0]["values"].as_u64().unwrap() > 0);
        for resource in resources {
            let bytes = &files[resource["path"].as_str().unwrap()];
            assert_eq!(
                (&resource["bytes"], &resource["hash"]),
                (&json!(bytes.len()), &json!(format!("sha256:{}", sum(bytes))))
            );
            let names: Vec<&str> = resource["schema"]["fields"]
                .as_array()
                .unwrap()
                .iter()
                .map(|field| field["name"].as_str().unwrap())
                .collect();
            if format == "csv" {
                let header = String::from_utf8_lossy(bytes).lines().next().unwrap().to_owned();
                assert_eq!(header, names.join(","));
            }
        }
        let all: f64 = app
            .rows("SELECT max(epsilon) AS spent FROM seals GROUP BY day, app, release")
            .iter()
            .map(|row| row["spent"].as_f64().unwrap())
            .sum();
        let spent = package["epsilon"]["together"].as_f64().unwrap();
        if format == "geojson" {
            let is_of_cells = |resource: &&Value| resource["schema"]["fields"][2]["name"] == "cell";
            assert_eq!(resources.iter().filter(is_of_cells).count(), resources.len() - 1);
            assert!((spent - 0.8).abs() < 1e-6, "{spent}");
        } else {
            assert!((spent - all).abs() < 1e-6 && (spent - 2.0).abs() < 1e-6, "{spent} {all}");
        }
    }
}
