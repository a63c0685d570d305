//go:build wasip1

package nx

import "unsafe"

// The host's functions for guests that live on; see host_wasip1.go.

//go:wasmimport nx event_get
func importEventGet(name string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx event_read
func importEventRead(out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx dataset_use
func datasetUse(name string) int32

//go:wasmimport nx crdt_watch
func crdtWatch(prefix string) int32

//go:wasmimport nx crdt_unwatch
func crdtUnwatch(prefix string) int32

//go:wasmimport nx timer_set
func timerSet(id uint32, delayMS, periodMS int64) int32

//go:wasmimport nx timer_cancel
func timerCancel(id uint32) int32

//go:wasmimport nx msg_subscribe
func msgSubscribe(subject string) int32

//go:wasmimport nx msg_unsubscribe
func msgUnsubscribe(subject string) int32

//go:wasmimport nx msg_publish
func importMsgPublish(subject string, payload string) int32

//go:wasmimport nx msg_send
func importMsgSend(node string, subject string, payload string) int32

//go:wasmimport nx msg_request
func importMsgRequest(subject string, payload string, timeoutMS uint32, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx msg_reply
func importMsgReply(payload string) int32

//go:wasmimport nx http_status
func httpStatus(code int32) int32

//go:wasmimport nx http_header
func httpHeader(name string, value string) int32

//go:wasmimport nx http_write
func importHTTPWrite(data string) int32

//go:wasmimport nx fetch
func importFetch(method string, url string, headers string, body string) int32

//go:wasmimport nx fetch_header
func importFetchHeader(name string, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx fetch_read
func importFetchRead(out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx blob_write
func importBlobWrite(data string) int32

//go:wasmimport nx blob_finish
func importBlobFinish(out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx blob_size
func importBlobSize(hash string) int32

//go:wasmimport nx blob_read
func importBlobRead(hash string, offset uint64, out unsafe.Pointer, capacity uint32) int32

//go:wasmimport nx blob_drop
func importBlobDrop(hash string) int32

func eventGet(name string, out []byte) int32 {
	return importEventGet(name, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func eventRead(out []byte) int32 {
	return importEventRead(unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func msgPublish(subject string, payload []byte) int32 {
	return importMsgPublish(subject, view(payload))
}

func msgSend(node, subject string, payload []byte) int32 {
	return importMsgSend(node, subject, view(payload))
}

func msgRequest(subject string, payload []byte, timeoutMS uint32, out []byte) int32 {
	return importMsgRequest(subject, view(payload), timeoutMS, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func msgReply(payload []byte) int32 { return importMsgReply(view(payload)) }

func httpWrite(data []byte) int32 { return importHTTPWrite(view(data)) }

func fetch(method, url, headers string, body []byte) int32 {
	return importFetch(method, url, headers, view(body))
}

func fetchHeader(name string, out []byte) int32 {
	return importFetchHeader(name, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func fetchRead(out []byte) int32 {
	return importFetchRead(unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func blobWrite(data []byte) int32 { return importBlobWrite(view(data)) }

func blobFinish(out []byte) int32 {
	return importBlobFinish(unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func blobSize(hash []byte) int32 { return importBlobSize(view(hash)) }

func blobRead(hash []byte, offset uint64, out []byte) int32 {
	return importBlobRead(view(hash), offset, unsafe.Pointer(unsafe.SliceData(out)), uint32(len(out)))
}

func blobDrop(hash []byte) int32 { return importBlobDrop(view(hash)) }
