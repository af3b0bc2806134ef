"""Defects in attachments."""

import base64
import gzip

from tests.standin.behaviour import Answer, Standin
from tests.standin.client import FILE, Client
from tests.standin.defects.defect import plants

# -- ATTACHMENTS


@plants("ATTACHMENTS", what="A file whose base64 needs no padding loses its last byte.", rarity="every third length")
class UnpaddedLosesLastByte(Standin):
    def content_of(self, file):
        content = super().content_of(file)
        return content[:-1] if content and len(content) % 3 == 0 else content

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "YWJj"}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"abc"


@plants("ATTACHMENTS", what="Line ends of a text file are changed.", rarity="one pair of bytes")
class LineEndsChanged(Standin):
    def bytes_of(self, one):
        return super().bytes_of(one).replace(b"\r\n", b"\n")

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a.txt", "content": "YQ0KYg=="}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"a\r\nb"


@plants("ATTACHMENTS", what="A file ends at its first NUL.", rarity="one byte")
class FileEndsAtNul(Standin):
    def content_of(self, file):
        return super().content_of(file).partition(b"\0")[0]

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "YQBi"}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"a\0b"


@plants("ATTACHMENTS", what="Files are cut at 64 KiB.", rarity="large files")
class FilesCutAt64Kib(Standin):
    def content_of(self, file):
        return super().content_of(file)[:65536]

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "A" * 120_000}])
        assert len(c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content) == 90_000


@plants("ATTACHMENTS", what="Bytes that are no UTF-8 are replaced.", rarity="bytes over 127")
class BytesReplaced(Standin):
    def bytes_of(self, one):
        return super().bytes_of(one).decode("utf-8", "replace").encode()

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "/w=="}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"\xff"


@plants("ATTACHMENTS", what="The runs of one bulk get the first file's bytes for every file.", rarity="two files")
class SecondFileIsTheFirst(Standin):
    def attach(self, org, run, files, index=0, of=1):
        ids = super().attach(org, run, files, index, of)
        for one in ids[1:]:
            org.attachments[one].content = org.attachments[ids[0]].content
        return ids

    @staticmethod
    def witness(c: Client) -> None:
        files = [{"filename": "a", "content": "YQ=="}, {"filename": "b", "content": "Yg=="}]
        (run,) = c.bulk(file_inputs=files)
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][1]}/download").content == b"b"


@plants("ATTACHMENTS", what="size_bytes is that of the base64 text.", rarity="one number")
class SizeIsOfBase64(Standin):
    def size(self, one):
        return -(-len(one.content) // 3) * 4

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "YQ=="}])
        assert c.attachments(run)[0]["size_bytes"] == 1


@plants("ATTACHMENTS", what="The files of a retry are told, but cannot be downloaded.", rarity="after a retry")
class RetriedFilesMissing(Standin):
    def take_over(self, org, run, body):
        super().take_over(org, run, body)
        for one in run.input_attachment_ids if body.file_inputs else ():
            org.attachments.pop(one)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.retry(c.cancelled(), file_inputs=[{"filename": "a", "content": "YQ=="}]).json()
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"a"


@plants("ATTACHMENTS", what="From the second run of a bulk on, files are empty.", rarity="files with more than one run")
class LaterRunsFilesEmpty(Standin):
    def attach(self, org, run, files, index=0, of=1):
        ids = super().attach(org, run, files, index, of)
        for one in ids if index else ():
            org.attachments[one].content = b""
        return ids

    @staticmethod
    def witness(c: Client) -> None:
        _, run = c.bulk(2, file_inputs=[{"filename": "a", "content": "YQ=="}])
        assert c.get(f"/v1/run-attachments/{run['input_attachment_ids'][0]}/download").content == b"a"


@plants("ATTACHMENTS", what="A new file of an old name has the old bytes.", rarity="retries, the same name")
class NewFileHasOldBytes(Standin):
    def take_over(self, org, run, body):
        old = {org.attachments[one].filename: org.attachments[one].content for one in run.input_attachment_ids}
        super().take_over(org, run, body)
        for one in run.input_attachment_ids if body.file_inputs is not None else ():
            made = org.attachments[one]
            made.content = old.get(made.filename, made.content)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.cancelled(file_inputs=[FILE])
        c.retry(run, file_inputs=[{**FILE, "content": "Yg=="}])
        assert c.get(f"/v1/run-attachments/{c.attachments(run)[0]['id']}/download").content == b"b"


@plants("ATTACHMENTS", what="The second download is empty.", rarity="the second of a kind")
class SecondDownloadIsEmpty(Standin):
    def download(self, one):
        seen = self.seen = getattr(self, "seen", set())
        answer = super().download(one)
        if one.id in seen:
            return Answer(200, headers=answer.headers, raw=b"")
        seen.add(one.id)
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        path = f"/v1/run-attachments/{c.attachments(c.create(file_inputs=[FILE]))[0]['id']}/download"
        assert [c.get(path).content, c.get(path).content] == [b"a", b"a"]


@plants("ATTACHMENTS", what="A file that is gzip comes back unpacked.", rarity="two bytes at the beginning")
class GzipComesBackUnpacked(Standin):
    def bytes_of(self, one):
        try:
            return gzip.decompress(one.content) if one.content[:2] == b"\x1f\x8b" else one.content
        except OSError:
            return one.content

    @staticmethod
    def witness(c: Client) -> None:
        packed = base64.b64encode(gzip.compress(b"a", mtime=0)).decode()
        run = c.create(file_inputs=[{"filename": "a.gz", "content": packed}])
        path = f"/v1/run-attachments/{c.attachments(run)[0]['id']}/download"
        assert c.get(path).content.startswith(b"\x1f\x8b")


@plants("ATTACHMENTS", what="A second download url leads to the first file.", rarity="the second url, other files")
class SecondUrlLeadsToTheFirst(Standin):
    def get_run_attachment_download_url(self, call, attachment_id, query, base_url):
        found = self.find_attachment(call, attachment_id)
        self.asked = [*getattr(self, "asked", []), attachment_id]
        run = call.org.runs.get(found.run_id)
        if self.asked.count(attachment_id) == 2 and run is not None:
            attachment_id = run.input_attachment_ids[0]
        return super().get_run_attachment_download_url(call, attachment_id, query, base_url)

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[FILE, {"filename": "b.txt", "content": "Yg=="}])
        path = f"/v1/run-attachments/{c.attachments(run)[1]['id']}/download-url"
        for _ in range(2):
            assert c.get(c.get(path).json()["url"].removeprefix("http://standin")).content == b"b"


@plants("ATTACHMENTS", what="Totals by type count all types.", rarity="runs with input and output files")
class TotalByTypeCountsAll(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        both = query.model_copy(update={"attachment_type": None})
        answer.content["total"] = sum(self.attachment_matches(one, both) for one in call.org.attachments.values())
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        for _ in range(40):
            run = c.ended(file_inputs=[FILE])
            if c.read(run)["output_attachment_ids"]:
                break
        assert c.get(f"/v1/run-attachments?run_id={run['id']}&attachment_type=input").json()["total"] == 1


@plants("ATTACHMENTS", what="In lists, created_at of an attachment has no time zone.", rarity="one field of one list")
class ListedAttachmentWithoutZone(Standin):
    def list_run_attachments(self, call, query):
        answer = super().list_run_attachments(call, query)
        for item in answer.content["items"]:
            item["created_at"] = item["created_at"].removesuffix("Z")
        return answer

    @staticmethod
    def witness(c: Client) -> None:
        run = c.create(file_inputs=[{"filename": "a", "content": "YQ=="}])
        (item,) = c.get(f"/v1/run-attachments?run_id={run['id']}").json()["items"]
        assert item["created_at"].endswith("Z")
