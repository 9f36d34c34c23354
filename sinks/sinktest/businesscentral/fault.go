package businesscentral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"waybill/sinks/sinktest"
)

// The faults of this product beside those of every simulator.
const (
	OperationTimeout sinktest.Fault = "operation_timeout" // 408: ran for more than 8 minutes and was cancelled; nothing done
	QueueTimeout     sinktest.Fault = "queue_timeout"     // 503 with Retry-After: waited for more than 8 minutes; nothing done
	GatewayTimeout   sinktest.Fault = "gateway_timeout"   // 504 after more than 10 minutes; it is done all the same
)

// refusal is an answer that is no success.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string { return r.code + ": " + r.message }

func refuse(status int, code, form string, args ...any) *refusal {
	return &refusal{status, code, fmt.Sprintf(form, args...)}
}

func bad(code, form string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, code, form, args...)
}

// body is the error as the product writes it: the message ends with the id by which support finds it.
func (r *refusal) body() map[string]any {
	return map[string]any{"error": map[string]string{"code": r.code, "message": r.message + "  CorrelationId:  " + uuid.NewString() + "."}}
}

// Fail implements sinktest.SimProduct. Retry-After is documented for 502 and 503, and not for 429.
func (s *Simulator) Fail(w http.ResponseWriter, status int, wait time.Duration) {
	r := refuse(status, "Internal_ServerError", "An internal error occurred.")
	switch status {
	case http.StatusTooManyRequests:
		r = refuse(status, "Application_TooManyRequests", "Too many requests: the limit of the environment is exceeded.") // [K] the code
	case http.StatusServiceUnavailable, http.StatusBadGateway:
		r = refuse(status, "Internal_TenantUnavailable", "The tenant is not accessible.")
		if wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(max(1, int(wait.Seconds()))))
		}
	case http.StatusRequestTimeout:
		r = refuse(status, "Unknown", "The operation was cancelled because it took longer than the allowed execution time.") // [K] the code
	case http.StatusGatewayTimeout:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html><body>504 Gateway Time-out</body></html>")) // a recorder
		return
	}
	s.answer(w, r.status, r.body())
}

func (s *Simulator) answer(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	raw, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Sprintf("an answer of the simulator: %v", err))
	}
	w.Header().Set("Content-Type", "application/json; odata.metadata=minimal; odata.streaming=true")
	w.Header().Set("OData-Version", "4.0")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // a recorder
}
