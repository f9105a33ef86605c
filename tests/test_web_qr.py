"""workers/web/qr.py: a picture without a style of its own."""

from workers.web.qr import svg


def test_a_picture_that_the_pages_policy_lets_in() -> None:
    made = svg("http://127.0.0.1:8080/e/1076.h1.1.1796111962.WWQ26JCSTKOG3CKHQESGQDUZ3U").decode()
    assert made.startswith("<?xml") and "<path" in made
    assert "style" not in made and "script" not in made and "http://127" not in made
