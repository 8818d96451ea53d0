//! CSV files row by row: UTF-8 with or without its mark, separators , ; and tab, line breaks inside
//! quotes. Holds one row at a time; a quote that is never closed ends the reading, not the memory.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read};
use std::rc::Rc;

use csv::{ByteRecord, ReaderBuilder};

use super::mapping::MappingError;
use super::row::{Column, Fault, Reading, contact};
use crate::adapters::store::lists::NewContact;

/// The longest row, bytes: fifty fields of a page each.
const ROW_MAX: u64 = 1 << 20;
/// How much of the file's head is looked at to find the separator.
const HEAD_MAX: usize = 64 * 1024;

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file system.
    #[error("cannot read the file: {0}")]
    Io(#[from] std::io::Error),
    /// No header row.
    #[error("the file is empty; its first row must name the columns")]
    Empty,
    /// Another encoding.
    #[error("the file is not UTF-8 ({0}); export it as \"CSV UTF-8\"")]
    Encoding(&'static str),
    /// A quote that is never closed, most likely.
    #[error("the row at line {line} is longer than 1 MiB; is a quote there never closed?")]
    RowTooLong {
        /// Where it begins.
        line: u64,
    },
    /// The columns do not fit.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// Malformed in another way.
    #[error("line {line}: {why}")]
    Malformed {
        /// Where.
        line: u64,
        /// Why.
        why: String,
    },
}

/// One row of the file.
#[derive(Debug)]
pub struct Row {
    /// The line it begins at; the header is line 1.
    pub line: u64,
    /// The contact, or why it is none.
    pub contact: Result<NewContact, Fault>,
}

/// Rows of a file.
pub struct CsvRows<'r, R> {
    rows: csv::Reader<Fence<R>>,
    fence: Rc<Cell<u64>>,
    reading: &'r Reading,
    columns: Vec<Column>,
    record: ByteRecord,
}

impl<'r, R: Read> CsvRows<'r, BufReader<R>> {
    /// Reads the header row.
    pub fn open(source: R, reading: &'r Reading) -> Result<Self, CsvError> {
        let mut source = BufReader::with_capacity(HEAD_MAX, source);
        let head = source.fill_buf()?;
        if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
            return Err(CsvError::Encoding("it looks like UTF-16"));
        }
        let marked = head.starts_with(&[0xef, 0xbb, 0xbf]);
        let separator = separator(head);
        if marked {
            source.consume(3);
        }
        let fence = Rc::new(Cell::new(ROW_MAX));
        let mut rows = ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .has_headers(true)
            .from_reader(Fence { inner: source, left: Rc::clone(&fence) });
        let header = rows.byte_headers().map_err(|error| said(&error, 1))?.clone();
        let mut names = vec![];
        for name in &header {
            let name = std::str::from_utf8(name)
                .map_err(|_| CsvError::Encoding("its header row holds other bytes"))?;
            names.push(name.trim().to_owned());
        }
        if names.iter().all(String::is_empty) {
            return Err(CsvError::Empty);
        }
        let targets = reading.map.columns(&names)?;
        let columns = targets.into_iter().zip(names);
        let columns = columns.map(|(target, name)| Column { target, name }).collect();
        Ok(Self { rows, fence, reading, columns, record: ByteRecord::new() })
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.rows.position().byte()
    }

    /// The next row; `None` at the end.
    pub fn next_row(&mut self) -> Result<Option<Row>, CsvError> {
        self.fence.set(ROW_MAX);
        let line = self.rows.position().line();
        loop {
            if !self.rows.read_byte_record(&mut self.record).map_err(|error| said(&error, line))? {
                return Ok(None);
            }
            // A row of separators alone is an empty row of a spreadsheet.
            if !self.record.iter().all(<[u8]>::is_empty) {
                break;
            }
            self.fence.set(ROW_MAX);
        }
        let line = self.record.position().map_or(line, csv::Position::line);
        Ok(Some(Row { line, contact: self.read() }))
    }

    fn read(&self) -> Result<NewContact, Fault> {
        let whole = |reason: String| Fault {
            column: String::new(),
            reason,
            raw: String::from_utf8_lossy(self.record.as_slice()).chars().take(200).collect(),
        };
        let (cells, columns) = (self.record.len(), self.columns.len());
        if cells != columns {
            return Err(whole(format!("has {cells} columns, the header {columns}")));
        }
        let mut values = Vec::with_capacity(columns);
        for (cell, column) in self.record.iter().zip(&self.columns) {
            let Ok(value) = std::str::from_utf8(cell) else {
                let raw = String::from_utf8_lossy(cell).into_owned();
                return Err(Fault { column: column.name.clone(), reason: "not UTF-8".into(), raw });
            };
            values.push(value);
        }
        contact(self.reading, &self.columns, values)
    }
}

/// The separator that stands most often in the header row, outside quotes.
fn separator(head: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0u32), (b';', 0), (b'\t', 0)];
    for byte in head {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            byte if !quoted => {
                for (separator, count) in &mut counts {
                    *count += u32::from(separator == byte);
                }
            }
            _ => {}
        }
    }
    // Of equals the first stays: a header of one column has none of them.
    let best = counts.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(b',', |(separator, _)| separator)
}

fn said(error: &csv::Error, line: u64) -> CsvError {
    match error.kind() {
        csv::ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            CsvError::RowTooLong { line }
        }
        csv::ErrorKind::Io(error) => {
            CsvError::Io(std::io::Error::new(error.kind(), error.to_string()))
        }
        _ => CsvError::Malformed { line, why: error.to_string() },
    }
}

/// Fails when more is read than one row may have; each new row lifts it again.
struct Fence<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Fence<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        // The CSV reader fetches ahead by its own buffer, far smaller than a row may be.
        match self.left.get().checked_sub(read as u64) {
            Some(left) => self.left.set(left),
            None => return Err(std::io::ErrorKind::FileTooLarge.into()),
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::import::mapping::Mapping;
    use crate::adapters::import::numbers::Region;
    use proptest::prelude::*;

    fn ukraine() -> Reading {
        Reading { region: Region::parse("UA"), ..Reading::default() }
    }

    fn rows(text: &[u8]) -> Result<Vec<Row>, CsvError> {
        let reading = ukraine();
        let mut rows = CsvRows::open(text, &reading)?;
        let mut all = vec![];
        while let Some(row) = rows.next_row()? {
            all.push(row);
        }
        Ok(all)
    }

    fn names(text: &str) -> Vec<String> {
        rows(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|row| row.contact.map_or_else(|fault| fault.reason, |contact| contact.name))
            .collect()
    }

    #[test]
    fn separators_and_the_byte_order_mark_are_recognised() {
        for text in [
            "name,phone\nОлена,0501234567\n",
            "name;phone\r\nОлена;0501234567\r\n",
            "\u{feff}name\tphone\nОлена\t0501234567",
            "\"name, full\";name;phone\nx;Олена;0501234567\n",
        ] {
            assert_eq!(names(text), ["Олена"], "{text:?}");
        }
    }

    #[test]
    fn a_line_break_inside_quotes_belongs_to_the_value_and_lines_are_counted() {
        let text = "name,phone,note\n\"Олена\nдруга\",0501234567,\"a,\"\"b\"\"\"\nПетро,123,\n";
        let rows = rows(text.as_bytes()).unwrap();
        let first = rows[0].contact.as_ref().unwrap();
        assert_eq!(first.name, "Олена\nдруга");
        assert_eq!(first.fields, [("note".to_owned(), "a,\"b\"".to_owned())]);
        assert_eq!((rows[1].line, rows[1].contact.is_err()), (4, true));
    }

    #[test]
    fn a_row_with_a_column_too_few_or_of_another_encoding_is_refused_alone() {
        let text = b"name,phone\nA\nB,0501234567\n\xc0\xe1,0501234567\n,,\n";
        let rows = rows(text).unwrap();
        let reasons: Vec<_> =
            rows.iter().map(|row| row.contact.as_ref().err().map(|f| f.reason.as_str())).collect();
        assert_eq!(reasons, [Some("has 1 columns, the header 2"), None, Some("not UTF-8")]);
    }

    #[test]
    fn what_is_no_csv_in_utf8_says_what_to_do() {
        assert!(matches!(rows(b""), Err(CsvError::Empty)));
        assert!(matches!(rows(b"\xff\xfea\0"), Err(CsvError::Encoding(_))));
        assert!(matches!(rows(b"\xcf\xb2\xc1;\xd2\n"), Err(CsvError::Encoding(_))));
        assert!(matches!(
            rows(b"a,b\n1,2\n"),
            Err(CsvError::Mapping(MappingError::NoPhone { .. }))
        ));
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_the_reading_with_its_line() {
        let mut text = b"name,phone\nA,0501234567\n\"B,0501234567\n".to_vec();
        text.resize(4 << 20, b'x');
        match rows(&text) {
            Err(CsvError::RowTooLong { line }) => assert_eq!(line, 3),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        /// Whatever people write into a cell, and whatever the separator: it comes back whole.
        #[test]
        fn any_value_survives_the_way_through_a_file(
            cells in prop::collection::vec("[^\\p{Cc}]{0,30}|\"[a\n\",;]{0,9}\"", 1..5),
            separator in prop::sample::select(vec![b',', b';', b'\t']),
        ) {
            let mut file = csv::WriterBuilder::new().delimiter(separator).from_writer(vec![]);
            file.write_record(["phone", "note"]).unwrap();
            for cell in &cells {
                file.write_record(["+380501234567", cell]).unwrap();
            }
            let read = rows(&file.into_inner().unwrap()).unwrap();
            prop_assert_eq!(read.len(), cells.len());
            for (row, cell) in read.iter().zip(&cells) {
                let fields = &row.contact.as_ref().unwrap().fields;
                let value = fields.first().map_or("", |(_, value)| value.as_str());
                prop_assert_eq!(value, cell.trim());
            }
        }

        #[test]
        fn no_file_makes_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = rows(&bytes);
            let mut with_header = b"phone,name\n".to_vec();
            with_header.extend(bytes);
            let _ = rows(&with_header);
        }

        #[test]
        fn any_mapping_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = Mapping::parse(&text);
        }
    }
}
