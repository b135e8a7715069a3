//! One service with two sizes of requests: tonic knows one for all methods of a service.

use std::task::{Context, Poll};

use http::Request;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

/// A service, and the same for the methods in `names`.
#[derive(Debug, Clone)]
pub(super) struct Pick<S> {
    pub(super) usual: S,
    pub(super) large: S,
    pub(super) names: &'static [&'static str],
}

impl<S: NamedService> NamedService for Pick<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Pick<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        std::task::ready!(self.large.poll_ready(cx)?);
        self.usual.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let name = request.uri().path().rsplit_once('/').map(|(_, name)| name);
        let picked = if name.is_some_and(|name| self.names.contains(&name)) {
            &mut self.large
        } else {
            &mut self.usual
        };
        picked.call(request)
    }
}
