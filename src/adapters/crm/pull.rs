//! Takes a segment from a CRM over paged HTTP JSON: the same reading and the same rejects as a file.

use std::time::Duration;

use reqwest::header::{ACCEPT, LINK, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};

use crate::adapters::import::job::{Chunk, Import, ImportError, Loading, Progress, Report};
use crate::adapters::import::mapping::MappingError;
use crate::adapters::secret::Secret;

use super::backoff::{PULL, Schedule, retry_after};
use super::http::{guarded_client, root_cause};
use super::records::{Next, Page, Paths, next_link};
use super::url_guard::{UrlFault, check_url};

/// Records asked for in one page.
pub const PER_PAGE: u32 = 500;
/// Pages of one segment at most: fifty million records.
const PAGES_MAX: u32 = 100_000;
/// The largest page, bytes: five hundred records of 64 kB.
const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long one page may take.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest wait that a CRM may ask of a pull; a longer one ends it.
const WAIT_MAX: Duration = Duration::from_mins(2);

/// Where a segment is.
pub struct Segment {
    /// The address of its first page.
    pub url: String,
    /// A bearer token.
    pub token: Option<Secret>,
    /// Whether it may stand at a private address.
    pub allow_private_addresses: bool,
}

/// Why a pull ended in vain. There is no list then.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The address.
    #[error(transparent)]
    Url(#[from] UrlFault),
    /// No connection, after all tries.
    #[error("the CRM at {host} does not answer ({why}); is the address right and the CRM running?")]
    Unreachable {
        /// Which host.
        host: String,
        /// What happened.
        why: String,
    },
    /// 401 or 403.
    #[error("the CRM refused the token ({0}); name a valid one with --crm-token env:NAME")]
    Token(u16),
    /// Another status.
    #[error("the CRM answered page {page} with {status}; {hint}")]
    Status {
        /// Which page.
        page: u32,
        /// Its status.
        status: u16,
        /// What to do.
        hint: &'static str,
    },
    /// A body that is no page.
    #[error(
        "page {page} is no list of records ({why}); expected {{\"records\": [{{…}}], \"next\": …}}"
    )]
    NotAPage {
        /// Which page.
        page: u32,
        /// Why.
        why: String,
    },
    /// Pages that lead elsewhere, or nowhere.
    #[error("page {page} names a next page that cannot be followed: {why}")]
    Next {
        /// Which page.
        page: u32,
        /// Why.
        why: String,
    },
    /// The mapping does not fit.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The import.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The HTTP client.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
}

/// Pulls a segment. If the future is dropped, the list is dropped too.
pub async fn pull(
    import: Import,
    segment: &Segment,
    progress: impl Fn(Progress),
) -> Result<Report, PullError> {
    pull_with(import, segment, &PULL, progress).await
}

/// [`pull`] with waits of its own between tries, for tests.
pub async fn pull_with(
    import: Import,
    segment: &Segment,
    waits: &Schedule,
    progress: impl Fn(Progress),
) -> Result<Report, PullError> {
    let first = check_url(&segment.url, segment.allow_private_addresses)?;
    let client = guarded_client(PAGE_TIMEOUT, segment.allow_private_addresses)
        .map_err(|error| PullError::Client(root_cause(&error)))?;
    let mut pages = Pages {
        client,
        segment,
        waits,
        import: import.clone(),
        page: 1,
        url: with_page(&first, 1),
    };
    let mut loading = Loading::begin(import).await?;
    let fed = feed(&mut pages, &first, &mut loading, progress).await;
    loading.end(fed).await
}

async fn feed(
    pages: &mut Pages<'_>,
    first: &Url,
    loading: &mut Loading,
    progress: impl Fn(Progress),
) -> Result<(), PullError> {
    let reading = pages.import.reading.clone();
    let mut paths = None;
    let mut row = 0;
    loop {
        let (records, next, total) = pages.fetch().await?;
        let count = records.len();
        let mut chunk = Chunk::of(total);
        for record in &records {
            if paths.is_none() {
                paths = Some(Paths::of(&reading.map, Some(record))?);
            }
            row += 1;
            if let Some(paths) = &paths {
                chunk.push(row, paths.contact(&reading, record));
            }
        }
        loading.add(chunk).await?;
        progress(loading.progress);
        let is_full = count >= usize::try_from(PER_PAGE).unwrap_or(usize::MAX);
        let is_more = match total {
            Some(total) => row < total && count > 0,
            None => is_full,
        };
        match next {
            Next::At(next) => pages.turn_to(&next)?,
            Next::Unsaid if is_more => pages.turn(first),
            Next::Last | Next::Unsaid => return Ok(()),
        }
        if pages.page > PAGES_MAX {
            let why = format!("more than {PAGES_MAX} pages");
            return Err(PullError::Next { page: pages.page, why });
        }
    }
}

/// The walk from page to page.
struct Pages<'s> {
    client: Client,
    segment: &'s Segment,
    waits: &'s Schedule,
    import: Import,
    page: u32,
    url: Url,
}

type Records = (Vec<serde_json::Value>, Next, Option<u64>);

impl Pages<'_> {
    /// Fetches the page at hand, again and again if the CRM has trouble.
    async fn fetch(&self) -> Result<Records, PullError> {
        let mut tries = 0;
        loop {
            let (error, asked) = match self.fetch_once().await {
                Ok(records) => return Ok(records),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(error, asked)) => (error, asked),
            };
            tries += 1;
            if self.waits.is_over(tries) || asked.is_some_and(|wait| wait > WAIT_MAX) {
                return Err(error);
            }
            let wait = self.waits.wait(tries, rand::random()).max(asked.unwrap_or_default());
            tracing::debug!(page = self.page, tries, wait_ms = wait.as_millis(), %error, "pulling again");
            tokio::time::sleep(wait).await;
        }
    }

    async fn fetch_once(&self) -> Result<Records, Trouble> {
        let mut request = self.client.get(self.url.clone()).header(ACCEPT, "application/json");
        if let Some(token) = &self.segment.token {
            request = request.bearer_auth(token.reveal());
        }
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(self.status(status, &answer));
        }
        let link = answer.headers().get(LINK).and_then(|value| value.to_str().ok());
        let link = link.and_then(next_link).map(str::to_owned);
        let body = self.body(answer).await?;
        let page: Page = serde_json::from_slice(&body)
            .map_err(|error| Trouble::Final(self.not_a_page(&body, &error)))?;
        let (records, next, total) = match page {
            Page::Full { records, next, total } => (records, next, total),
            Page::Bare(records) => (records, Next::Unsaid, None),
        };
        let next = match (next, link) {
            (Next::Unsaid, Some(link)) => Next::At(link),
            (next, _) => next,
        };
        Ok((records, next, total))
    }

    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, Trouble> {
        let mut body = vec![];
        while let Some(part) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + part.len() > PAGE_BYTES_MAX {
                let why = format!("larger than {} MiB", PAGE_BYTES_MAX >> 20);
                return Err(Trouble::Final(PullError::NotAPage { page: self.page, why }));
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Trouble {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let why = if error.is_timeout() { "no answer in time".into() } else { root_cause(error) };
        Trouble::Passing(PullError::Unreachable { host, why }, None)
    }

    fn status(&self, status: StatusCode, answer: &Response) -> Trouble {
        let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|value| retry_after(value, (self.import.clock)()));
        let code = status.as_u16();
        let of = |hint| PullError::Status { page: self.page, status: code, hint };
        match code {
            401 | 403 => Trouble::Final(PullError::Token(code)),
            404 => Trouble::Final(of("is the segment's address right?")),
            408 | 425 | 429 => {
                Trouble::Passing(of("it asks for fewer requests; pull later"), asked)
            }
            300..=399 => Trouble::Final(of("redirects are not followed; give the final address")),
            500.. => Trouble::Passing(of("it has trouble of its own; pull later"), asked),
            _ => Trouble::Final(of("it does not understand the request")),
        }
    }

    /// Says what stands there without showing any of it: it may be somebody's data.
    fn not_a_page(&self, body: &[u8], error: &serde_json::Error) -> PullError {
        let start = body.iter().find(|byte| !byte.is_ascii_whitespace());
        let why = match start {
            None => "it is empty".to_owned(),
            Some(b'<') => "it is HTML or XML".to_owned(),
            Some(_) if error.is_data() => "its \"records\" are missing".to_owned(),
            Some(_) => format!("it is no JSON at line {} column {}", error.line(), error.column()),
        };
        PullError::NotAPage { page: self.page, why }
    }

    /// The next page by its number.
    fn turn(&mut self, first: &Url) {
        self.page += 1;
        self.url = with_page(first, self.page);
    }

    /// The next page by its address: on the same host, or our token would go elsewhere.
    fn turn_to(&mut self, next: &str) -> Result<(), PullError> {
        let fault = |why: &str| PullError::Next { page: self.page, why: why.to_owned() };
        let url = self.url.join(next).map_err(|_| fault("it is no address"))?;
        if url.origin() != self.url.origin() {
            return Err(fault("it is on another host"));
        }
        if url == self.url {
            return Err(fault("it is the same page again"));
        }
        self.page += 1;
        self.url = url;
        Ok(())
    }
}

/// Whether trying again may help.
enum Trouble {
    Passing(PullError, Option<Duration>),
    Final(PullError),
}

/// The address of page `page`, with whatever else the address asks for.
fn with_page(first: &Url, page: u32) -> Url {
    let mut url = first.clone();
    let others: Vec<(String, String)> = first
        .query_pairs()
        .filter(|(key, _)| key != "page" && key != "per_page")
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    let (page, per_page) = (page.to_string(), PER_PAGE.to_string());
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair("page", &page)
        .append_pair("per_page", &per_page);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_segments_own_query_stays_when_pages_are_counted() {
        let first =
            Url::parse("https://crm.example.com/s?city=%D0%9A%D0%B8%D1%97%D0%B2&page=9").unwrap();
        let url = with_page(&first, 2);
        assert_eq!(url.query(), Some("city=%D0%9A%D0%B8%D1%97%D0%B2&page=2&per_page=500"));
    }
}
