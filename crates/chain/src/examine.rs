//! A close look at every provider of a chain, for those who want to know whether all is well: more than a node asks for while it
//! runs, and each provider by itself, whatever the others say.

use std::time::{Duration, SystemTime};

use countersign_types::Pin;
use futures::future::join_all;
use reqwest::header::HeaderValue;

use crate::{ChainConfig, ConfigProblem, Fault, ProviderName, endpoint::Endpoint, rpc};

/// What was seen of one chain's providers.
#[derive(Debug, Clone)]
pub struct Examined {
    /// In the order of the configuration.
    pub providers: Vec<ExaminedProvider>,
}

/// What was seen of one provider.
#[derive(Debug, Clone)]
pub struct ExaminedProvider {
    /// What it is called.
    pub name: ProviderName,
    /// What it says of the chain, or why that does not count.
    pub said: Result<Said, Fault>,
    /// Its block at the lowest number that any of them calls final, to be compared; none where it said nothing.
    pub common: Option<Result<Option<Pin>, Fault>>,
    /// By how much its clock differs from this machine's; none where it does not tell the time.
    pub clock: Option<ClockDifference>,
}

/// What a provider says of its chain, whose id is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Its final block.
    pub finalized: Pin,
    /// Its newest block, if it tells.
    pub latest: Option<Pin>,
}

/// By how much another clock is ahead of this machine's: at least and at most, in milliseconds. Behind where negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockDifference {
    /// At least.
    pub least_ms: i64,
    /// At most.
    pub most_ms: i64,
}

impl ClockDifference {
    /// The smallest difference that explains what was seen: 0 where the clocks may be the same.
    pub fn sure_ms(&self) -> i64 {
        if self.least_ms > 0 { self.least_ms } else { self.most_ms.min(0) }
    }

    /// From the `Date` of an answer, in whole seconds, and this machine's time before and after.
    fn between(date: &HeaderValue, sent: SystemTime, received: SystemTime) -> Option<Self> {
        let date = httpdate::parse_http_date(date.to_str().ok()?).ok()?;
        Some(Self {
            least_ms: difference_ms(date, received),
            most_ms: difference_ms(date + Duration::from_secs(1), sent),
        })
    }
}

/// Looks at all providers of a chain at once, each within the chain's own timeout for every request.
///
/// # Errors
///
/// The configuration cannot work.
pub async fn examine(config: &ChainConfig) -> Result<Examined, ConfigProblem> {
    let client = rpc::client().map_err(|error| ConfigProblem::Client(error.to_string()))?;
    let endpoints = Endpoint::all(config, &client)?;
    let mut providers = join_all(endpoints.iter().map(look)).await;
    let said = providers.iter().filter_map(|provider| provider.said.as_ref().ok());
    if let Some(lowest) = said.map(|said| said.finalized.number).min() {
        join_all(endpoints.iter().zip(&mut providers).map(|(endpoint, provider)| async move {
            if provider.said.is_ok() {
                provider.common = Some(endpoint.block(lowest).await);
            }
        }))
        .await;
    }
    Ok(Examined { providers })
}

async fn look(endpoint: &Endpoint) -> ExaminedProvider {
    let (finalized, latest, clock) = tokio::join!(endpoint.survey(), endpoint.latest(), clock(endpoint));
    // without a newest block there is less to compare, and the final one counts all the same
    let latest = latest.ok().flatten();
    ExaminedProvider {
        name: endpoint.name().clone(),
        said: finalized.map(|finalized| Said { finalized, latest }),
        common: None,
        clock,
    }
}

async fn clock(endpoint: &Endpoint) -> Option<ClockDifference> {
    let sent = SystemTime::now();
    let date = endpoint.date().await?;
    ClockDifference::between(&date, sent, SystemTime::now())
}

fn difference_ms(other: SystemTime, own: SystemTime) -> i64 {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match other.duration_since(own) {
        Ok(ahead) => ms(ahead),
        Err(behind) => -ms(behind.duration()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Saturday, 6 January 2001, 12:00:00, and so many milliseconds.
    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(978_782_400_000 + ms)
    }

    fn difference(sent: u64, received: u64) -> ClockDifference {
        let date = HeaderValue::from_static("Sat, 06 Jan 2001 12:00:00 GMT");
        ClockDifference::between(&date, at(sent), at(received)).expect("a date")
    }

    #[test]
    fn whole_seconds_and_the_way_there_and_back_are_no_difference() {
        assert_eq!(difference(100, 300), ClockDifference { least_ms: -300, most_ms: 900 });
        assert_eq!(difference(100, 300).sure_ms(), 0);
        assert_eq!(difference(999, 999).sure_ms(), 0);
    }

    #[test]
    fn what_neither_explains_is_one() {
        assert_eq!(difference(61_000, 61_200).sure_ms(), -60_000, "the other is behind");
        let early = ClockDifference::between(
            &HeaderValue::from_static("Sat, 06 Jan 2001 12:01:00 GMT"),
            at(0),
            at(200),
        );
        assert_eq!(early.map(|difference| difference.sure_ms()), Some(59_800));
        let words = HeaderValue::from_static("noon");
        assert_eq!(ClockDifference::between(&words, at(0), at(1)), None);
    }
}
