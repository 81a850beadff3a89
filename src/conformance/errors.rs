//! Every way to be refused that can be tried from outside: each must be an error, with a body of one form.

use data_encoding::BASE64URL_NOPAD;
use hyper::header;
use hyper::{Method, StatusCode};

use crate::keys::random;

use super::book::Book;
use super::caller::{Answer, CBOR, COSE, Call, Caller};
use super::problem;
use super::statements::Sample;

/// What may come of a bad request.
#[derive(Clone, Copy, PartialEq)]
enum Want {
    /// It must be refused.
    Refusal,
    /// It may be taken; if not, the refusal has the form.
    RefusalOrNot,
    /// It must be refused with this status.
    Status(StatusCode),
}

pub(super) async fn check(caller: &Caller, book: &mut Book, sample: &Sample<'_>, oversize: usize) {
    media_types(caller, book, sample).await;
    bytes(caller, book, sample, oversize).await;
    statements(caller, book, sample).await;
    paths(caller, book).await;
    methods(caller, book).await;
    other_methods(caller, book).await;
}

async fn media_types(caller: &Caller, book: &mut Book, sample: &Sample<'_>) {
    for (id, media_type) in
        [("errors.content-type", Some("application/json")), ("errors.no-content-type", None)]
    {
        let answer = caller.post(media_type, sample.base().to_vec()).await;
        judge(book, id, answer, Want::Refusal, None);
    }
}

async fn bytes(caller: &Caller, book: &mut Book, sample: &Sample<'_>, oversize: usize) {
    for (id, body) in [
        ("errors.empty", Vec::new()),
        ("errors.garbage", vec![0xff; 64]),
        ("errors.truncated", sample.truncated()),
        ("errors.trailing", sample.trailing()),
    ] {
        let answer = caller.post(Some(COSE), body).await;
        judge(book, id, answer, Want::Refusal, Some(("errors.malformed-title", "Malformed request")));
    }
    // A server may close the connection before all is sent: then there is no answer to judge.
    match caller.post(Some(COSE), vec![0; oversize]).await {
        Ok(answer) => judge(book, "errors.oversize", Ok(answer), Want::Refusal, None),
        Err(reason) => book.not_applicable("errors.oversize", format!("closed without an answer: {reason}")),
    }
}

async fn statements(caller: &Caller, book: &mut Book, sample: &Sample<'_>) {
    let indefinite = sample.indefinite().ok_or_else(|| "the statement has no plain beginning".to_owned());
    let cases = [
        ("errors.indefinite", indefinite, Want::Refusal, None),
        ("errors.duplicate-label", sample.duplicate_label(), Want::Refusal, None),
        (
            "errors.detached",
            sample.detached(),
            Want::Refusal,
            Some(("errors.detached-title", "Payload Missing")),
        ),
        (
            "errors.algorithm",
            sample.bad_algorithm(),
            Want::Refusal,
            Some(("errors.algorithm-title", "Bad Signature Algorithm")),
        ),
        (
            "errors.signature",
            sample.bad_signature(),
            Want::Refusal,
            Some(("errors.signature-title", "Rejected")),
        ),
        ("errors.unprotected-chain", sample.unprotected_chain(), Want::RefusalOrNot, None),
    ];
    for (id, body, want, title) in cases {
        match body {
            Ok(body) => judge(book, id, caller.post(Some(COSE), body).await, want, title),
            Err(reason) => book.not_run(id, reason),
        }
    }
}

async fn paths(caller: &Caller, book: &mut Book) {
    let absent = random::<32>().map(|id| BASE64URL_NOPAD.encode(&id)).unwrap_or_default();
    let not_found = Want::Status(StatusCode::NOT_FOUND);
    let answer = caller.get(&format!("/entries/{absent}"), COSE).await;
    judge(book, "resolve.unknown", answer, not_found, Some(("resolve.unknown-title", "Not Found")));
    let answer = caller.get("/entries/%ff%00", COSE).await;
    judge(book, "errors.odd-id", answer, Want::Refusal, None);
    for (path, accept) in [(format!("/entries/{absent}/more"), COSE), (keys_path("a/b"), CBOR)] {
        judge(book, "errors.unknown-path", caller.get(&path, accept).await, not_found, None);
    }
}

fn keys_path(rest: &str) -> String {
    format!("/.well-known/scitt-keys/{rest}")
}

async fn methods(caller: &Caller, book: &mut Book) {
    let key = keys_path("x");
    for (method, path) in [
        (Method::DELETE, "/entries"),
        (Method::PUT, "/entries/x"),
        (Method::POST, "/.well-known/scitt-keys"),
        (Method::DELETE, key.as_str()),
    ] {
        let call = Call { method, path, accept: COSE, content_type: None, body: Vec::new() };
        let answer = caller.send(call).await;
        if let Ok(answer) = &answer
            && answer.status == StatusCode::METHOD_NOT_ALLOWED
        {
            let finding = match answer.header(header::ALLOW) {
                Some(allow) => Ok(format!("{path}: {allow}")),
                None => Err(format!("405 for {path} without Allow")),
            };
            book.judge("errors.allow", finding);
        }
        judge(book, "errors.method", answer, Want::Refusal, None);
    }
    book.not_applicable("errors.allow", "no request was answered with 405");
}

/// HEAD is GET without the body; OPTIONS may be anything but a failure of the server.
async fn other_methods(caller: &Caller, book: &mut Book) {
    let call = |method| Call {
        method,
        path: "/.well-known/scitt-keys",
        accept: CBOR,
        content_type: None,
        body: Vec::new(),
    };
    match caller.send(call(Method::HEAD)).await {
        Ok(answer) if answer.status == StatusCode::OK && answer.body.is_empty() => {
            book.pass("methods.head", "200 without a body");
        }
        Ok(answer) => {
            let (status, octets) = (answer.status.as_u16(), answer.body.len());
            book.fail("methods.head", format!("{status}, {octets} octets of body"));
        }
        Err(reason) => book.fail("methods.head", reason),
    }
    match caller.send(call(Method::OPTIONS)).await {
        Ok(answer) if answer.status.is_success() => book.pass("methods.options", answer.status.to_string()),
        answer => judge(book, "methods.options", answer, Want::Refusal, None),
    }
}

/// The form of an error, and its title where the specification gives one.
fn judge(
    book: &mut Book,
    id: &'static str,
    answer: Result<Answer, String>,
    want: Want,
    title: Option<(&'static str, &'static str)>,
) {
    let answer = match answer {
        Ok(answer) => answer,
        Err(reason) => return book.fail(id, reason),
    };
    if !answer.is_error() {
        let status = answer.status.as_u16();
        return if want == Want::RefusalOrNot && answer.status.is_success() {
            book.pass(id, format!("taken ({status})"));
        } else {
            book.fail(id, format!("answered with {status}, want an error"));
        };
    }
    if let Want::Status(wanted) = want
        && answer.status != wanted
    {
        return book.fail(id, format!("{}, want {}", problem::describe(&answer), wanted.as_u16()));
    }
    match problem::read(&answer) {
        Err(reason) => book.fail(id, reason),
        Ok((found, _)) => {
            book.pass(id, format!("{} {found}", answer.status.as_u16()));
            if let Some((title_id, wanted)) = title {
                let finding =
                    if found == wanted { Ok(found) } else { Err(format!("`{found}`, want `{wanted}`")) };
                book.judge(title_id, finding);
            }
        }
    }
}
