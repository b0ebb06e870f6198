var e={},t=e;export{t as default};
