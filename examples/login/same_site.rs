use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::pages;

/// Refuses what another site has a browser post here.
///
/// Every browser of today says where a post comes from, so no form needs a token, and no visitor
/// a session to keep one in. What says neither `Sec-Fetch-Site` nor `Origin` is not a browser's
/// page, has nobody's cookies, and may pass.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    if request.method().is_safe() || is_ours(request.headers(), request.uri()) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, pages::another_site()).into_response()
}

fn is_ours(headers: &HeaderMap, uri: &Uri) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = uri.authority().map(Authority::as_str).or(host);
    let mut places = headers.get_all("sec-fetch-site").iter();
    let mut origins = headers.get_all(ORIGIN).iter();
    // `same-site` is another port or subdomain; `none` is the address bar.
    places.all(|place| place == "same-origin" || place == "none")
        && origins.all(|origin| host.is_some_and(|host| is_of(origin, host)))
}

/// Whether an origin is of this host and port. Whether it was HTTPS, a proxy may know, not we.
fn is_of(origin: &HeaderValue, host: &str) -> bool {
    let Some((scheme, origin)) = origin.to_str().ok().and_then(|text| text.split_once("://"))
    else {
        return false;
    };
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return false,
    };
    let [origin, host] = [origin, host].map(|text| text.strip_suffix(port).unwrap_or(text));
    origin.eq_ignore_ascii_case(host)
}
