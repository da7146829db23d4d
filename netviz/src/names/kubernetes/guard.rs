//! Limits to what an API server can make this source receive.
//!
//! kube collects a whole answer before it parses it, and a watch line until its end. So the bytes are
//! counted as they arrive, below kube's parser.

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Frame},
};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tower::{Layer, Service};

/// How many objects one answer may hold. Small, because an answer is in memory three times.
pub(super) const PAGE: u32 = 100;
/// Size of one list answer, and of one line of a watch: 80 KiB for each pod of a page.
pub(super) const LARGEST: usize = 8 << 20;
/// Time limit for the head of an answer. A whole list has [`WHOLE`].
pub(super) const ANSWER: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(20);
/// kube's watcher restarts a finished watch at once: not more often than this.
const BETWEEN_WATCHES: Duration = Duration::from_secs(1);

type BoxError = Box<dyn Error + Send + Sync>;

/// Why an answer was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// No head of an answer within [`ANSWER`].
    Silent,
    /// A list that took longer than [`WHOLE`].
    Slow,
    /// More than [`LARGEST`] bytes.
    Huge,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => write!(f, "no answer in {} s", ANSWER.as_secs()),
            Self::Slow => write!(f, "a list that took longer than {} s", WHOLE.as_secs()),
            Self::Huge => write!(f, "more than {} MiB in one answer", LARGEST >> 20),
        }
    }
}

impl Error for Trouble {}

/// Wraps kube's client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guard;

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded {
            inner,
            watched: HashMap::new(),
        }
    }
}

/// A client that cuts off.
pub(super) struct Guarded<S> {
    inner: S,
    /// When the watch of each path last began.
    watched: HashMap<String, Instant>,
}

impl<S> Guarded<S> {
    /// When the watch of `path` may begin.
    fn turn(&mut self, path: &str) -> Instant {
        let now = Instant::now();
        let turn = match self.watched.get(path) {
            Some(last) => now.max(*last + BETWEEN_WATCHES),
            None => now,
        };
        self.watched.insert(path.to_owned(), turn);
        turn
    }
}

impl<S, R, B> Service<Request<R>> for Guarded<S>
where
    S: Service<Request<R>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<Checked<B>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let asked = request.uri().query().unwrap_or_default();
        let watch = asked.split('&').any(|pair| pair == "watch=true");
        let turn = watch.then(|| self.turn(request.uri().path()));
        let answer = self.inner.call(request);
        Box::pin(async move {
            if let Some(turn) = turn {
                sleep_until(turn).await;
            }
            let answer = timeout(ANSWER, answer).await.map_err(|_| Trouble::Silent)?;
            let answer = answer.map_err(Into::into)?;
            // Any other answer is a short message, not a watch.
            let watch = watch && answer.status().is_success();
            Ok(answer.map(|body| Checked::new(body, watch)))
        })
    }
}

/// A body that is cut off when it is too large or too slow.
pub(super) struct Checked<B> {
    /// `None` after it was cut off.
    inner: Option<B>,
    watch: bool,
    /// Bytes of the list, or of the current watch line.
    held: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<B> Checked<B> {
    fn new(inner: B, watch: bool) -> Self {
        Self {
            inner: Some(inner),
            watch,
            held: 0,
            deadline: (!watch).then(|| Box::pin(sleep_until(Instant::now() + WHOLE))),
        }
    }

    fn count(&mut self, data: &[u8]) -> Result<(), Trouble> {
        let line_end = data.iter().rposition(|byte| *byte == b'\n');
        match line_end.filter(|_| self.watch) {
            Some(end) => self.held = data.len() - end - 1,
            None => self.held = self.held.saturating_add(data.len()),
        }
        if self.held > LARGEST {
            return Err(Trouble::Huge);
        }
        Ok(())
    }

    fn cut(&mut self, why: Trouble) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.inner = None;
        Poll::Ready(Some(Err(why.into())))
    }
}

impl<B> Body for Checked<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            self.deadline = None;
            return self.cut(Trouble::Slow);
        }
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(why) = self.count(data)
        {
            return self.cut(why);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_is_limited_as_a_whole_and_watch_by_line() {
        let piece = [vec![b'x'; LARGEST / 2], vec![b'\n']].concat();
        let mut list = Checked {
            inner: Some(()),
            watch: false,
            held: 0,
            deadline: None,
        };
        assert_eq!(list.count(&piece), Ok(()));
        assert_eq!(list.count(&piece), Err(Trouble::Huge));
        let mut watch = Checked {
            watch: true,
            held: 0,
            ..list
        };
        for _ in 0..4 {
            assert_eq!(watch.count(&piece), Ok(()));
        }
        assert_eq!(watch.count(&piece[..LARGEST / 2]), Ok(()));
        assert_eq!(watch.count(&piece[..LARGEST / 2]), Ok(()));
        assert_eq!(watch.count(b"x"), Err(Trouble::Huge));
    }
}
