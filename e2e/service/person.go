package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Person is a user of the directory, as the users' door knows people: with a token of
// their own.
type Person struct {
	UPN, Password string
	client        *Client
}

// Person names a user, whose password is asked for nothing but tokens.
func (c *Client) Person(upn, password string) Person { return Person{upn, password, c} }

// cliAppID is the public client that people's tokens are for: Azure's own CLI.
const cliAppID = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

// Token signs the person in and returns an access token.
func (p Person) Token(ctx context.Context) (string, error) {
	boot := p.client.boot
	form := url.Values{"grant_type": {"password"}, "client_id": {cliAppID}, "username": {p.UPN}, "password": {p.Password}, "scope": {boot.Endpoint + "/.default"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, boot.Endpoint+"/"+boot.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := p.client.send(req, &answer); err != nil {
		return "", fmt.Errorf("sign %s in: %w", p.UPN, err)
	}
	return answer.AccessToken, nil
}

// Resource is what the person may open.
type Resource struct {
	ID, Name, FriendlyName, Type string
	RDP                          string // path of its connection file
}

// Resources lists what the person may open.
func (p Person) Resources(ctx context.Context) ([]Resource, error) {
	var feed struct {
		Workspaces []struct{ Resources []Resource }
	}
	req, err := p.ask(ctx, "/connect/v1/feed")
	if err == nil {
		err = p.client.send(req, &feed)
	}
	if err != nil {
		return nil, err
	}
	var all []Resource
	for _, w := range feed.Workspaces {
		all = append(all, w.Resources...)
	}
	return all, nil
}

// Connect asks for a desktop or application, as the web client does, and returns the id of
// the connection; nobody goes on to its gateway.
func (p Person) Connect(ctx context.Context, resource string) (string, error) {
	body, err := json.Marshal(map[string]string{"resourceId": resource})
	if err != nil {
		return "", fmt.Errorf("encode what is to be opened: %w", err)
	}
	req, err := p.ask(ctx, "/connect/v1/connections")
	if err != nil {
		return "", err
	}
	req.Method, req.Body = http.MethodPost, io.NopCloser(bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	var answer struct{ ConnectionID string }
	err = p.client.send(req, &answer)
	return answer.ConnectionID, err
}

// maxFile bounds a connection file.
const maxFile = 1 << 20

// File downloads a connection file by its path; "w" after it makes it one for AVD's own
// request.
func (p Person) File(ctx context.Context, path string) (file []byte, err error) {
	req, err := p.ask(ctx, path)
	if err != nil {
		return nil, err
	}
	res, err := p.client.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if file, err = io.ReadAll(io.LimitReader(res.Body, maxFile)); err != nil {
		return nil, fmt.Errorf("download %s: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("download %s: %s: %s", path, res.Status, file)
	}
	return file, nil
}

func (p Person) ask(ctx context.Context, path string) (*http.Request, error) {
	token, err := p.Token(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.client.boot.Endpoint+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return req, nil
}
